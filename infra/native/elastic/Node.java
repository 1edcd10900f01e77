import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.plugins.PluginsLoader;

/**
 * Runs one Elasticsearch node in the foreground, from a home folder with config/, modules/ and plugins/.
 *
 * <p>Elasticsearch's own main refuses root and checks what a production machine needs, from the limits of the
 * kernel to its native helper programs. This one leaves those out, and is for development and tests only.
 */
public final class Node {
    private static final long CLOSING_SECONDS = 20;

    public static void main(String[] args) {
        try {
            run(Path.of(args[0]));
        } catch (Throwable t) { // threads that were started would keep a process that does not serve
            t.printStackTrace();
            System.exit(1);
        }
    }

    private static void run(Path home) throws Exception {
        LogConfigurator.configureESLogging(); // before anything that logs is loaded
        Settings settings = Settings.builder().put("path.home", home.toString()).build();
        Environment environment = InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), home.resolve("config"), () -> "fernweh");
        LogConfigurator.configure(environment, true);
        PluginsLoader plugins = PluginsLoader.createPluginsLoader(
            PluginsLoader.loadModulesBundles(environment.modulesDir()), PluginsLoader.loadPluginsBundles(environment.pluginsDir()), Map.of());
        org.elasticsearch.node.Node node = new org.elasticsearch.node.Node(environment, plugins);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node)));
        node.start();
        Thread.currentThread().join();
    }

    private static void close(org.elasticsearch.node.Node node) {
        try {
            node.close();
            node.awaitClose(CLOSING_SECONDS, TimeUnit.SECONDS);
        } catch (IOException | InterruptedException e) {
            e.printStackTrace();
        }
    }
}
