package deploytest

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/expr-lang/expr"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/yaml"
	sigsyaml "sigs.k8s.io/yaml"
)

const chart = "../helm/fernweh"

// hash is what a write key looks like.
var hash = strings.Repeat("ab", 32)

// least is the values that have no default: whom to speak to, who may send, and who
// may act.
func least() map[string]any {
	return map[string]any{
		"image":   map[string]any{"repository": "portal/fernweh"},
		"kafka":   map[string]any{"brokers": []any{"kafka-0.kafka:9092", "kafka-1.kafka:9092"}},
		"hbase":   map[string]any{"quorum": []any{"zookeeper.hbase:2181"}},
		"elastic": map[string]any{"urls": []any{"https://elastic.search:9200"}},
		"ingest":  map[string]any{"writeKeys": map[string]any{"web": hash}},
		"serve":   map[string]any{"adminKeys": map[string]any{"admin": hash}},
	}
}

// with is the least values and what a YAML text adds to them.
func with(t *testing.T, text string) map[string]any {
	t.Helper()
	var more map[string]any
	if err := sigsyaml.Unmarshal([]byte(text), &more); err != nil {
		t.Fatal(err)
	}
	return loader.MergeMaps(least(), more)
}

// An object is one document that the chart makes.
type object struct {
	Kind     string
	Metadata metav1.ObjectMeta
	text     []byte
}

func (o object) String() string { return o.Kind + "/" + o.Metadata.Name }

// render is helm template: values held against the schema, then the objects.
func render(values map[string]any) ([]object, error) {
	c, err := loader.LoadDir(chart)
	if err != nil {
		return nil, err
	}
	release := common.ReleaseOptions{Name: "autumn", Namespace: namespace, Revision: 1, IsInstall: true}
	in, err := util.ToRenderValues(c, values, release, common.DefaultCapabilities.Copy())
	if err != nil {
		return nil, err
	}
	files, err := engine.Engine{Strict: true}.Render(c, in)
	if err != nil {
		return nil, err
	}
	var objects []object
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if filepath.Ext(name) != ".yaml" {
			continue
		}
		for _, text := range bytes.Split([]byte(files[name]), []byte("\n---\n")) {
			o := object{text: text}
			if err := sigsyaml.Unmarshal(text, &o); err != nil {
				return nil, fmt.Errorf("%s: %w:\n%s", name, err, text)
			}
			if o.Kind != "" {
				objects = append(objects, o)
			}
		}
	}
	return objects, nil
}

// mustRender is render of values that must be right.
func mustRender(t *testing.T, values map[string]any) []object {
	t.Helper()
	objects, err := render(values)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// full turns everything on that can be.
const full = `
image: {digest: sha256:` + "abababababababababababababababababababababababababababababababab" + `}
imagePullSecrets: [puller]
kafka:
  prefix: north
  tls: {enabled: true, caSecret: kafka-ca, certSecret: kafka-cert}
  sasl: {mechanism: SCRAM-SHA-512, existingSecret: kafka-login}
elastic: {caSecret: elastic-ca, existingSecret: elastic-login}
ingest: {service: {type: LoadBalancer}, storage: {className: fast}}
rebuild: {enabled: true, into: fernweh2}
ingress: {enabled: true, host: events.example.com, tlsSecret: events-tls, className: nginx, annotations: {a: b}}
networkPolicy:
  kafka: {to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kafka}}}]}
  serve: {from: [{podSelector: {matchLabels: {app: website}}}]}
  metrics: {from: [{namespaceSelector: {}}]}
monitoring: {podMonitor: true, rules: true, labels: {release: prometheus}}
serviceAccount: {annotations: {a: b}}
podAnnotations: {a: b}
nodeSelector: {disk: ssd}
tolerations: [{key: a, operator: Exists, effect: NoSchedule}]
priorityClassName: portal
`

// shapes are values that take every branch of the chart.
func shapes(t *testing.T) map[string]map[string]any {
	return map[string]map[string]any{
		"least":            least(),
		"full":             with(t, full),
		"cronjobs":         with(t, "{scaling: cronjobs, kubectl: {image: portal/kubectl:1}, imagePullSecrets: [puller]}"),
		"fixed":            with(t, "{scaling: none, ingest: {autoscaling: {enabled: false}}, serve: {autoscaling: {enabled: false}}}"),
		"all day":          with(t, "{hours: {enabled: false}}"),
		"open at night":    with(t, `{hours: {open: "18:00", close: "06:30"}}`),
		"one node":         with(t, "{archive: {storage: {accessMode: ReadWriteOnce, existingClaim: old}}}"),
		"keys in a secret": with(t, "{ingest: {writeKeys: null, writeKeysSecret: keys}, serve: {adminKeys: null, adminKeysSecret: keys, hosts: [portal.example.com]}}"),
		"an API key":       with(t, "{elastic: {existingSecret: elastic-login, login: api-key}}"),
		"nothing guarded":  with(t, "{networkPolicy: {enabled: false}, disruptionBudget: {enabled: false}}"),
	}
}

// TestTheClusterTakesTheChart: every object of every shape is one that the API
// server would create, and no name stands there twice.
func TestTheClusterTakesTheChart(t *testing.T) {
	for name, values := range shapes(t) {
		t.Run(name, func(t *testing.T) {
			seen := map[string]bool{}
			for _, o := range mustRender(t, values) {
				if seen[o.String()] {
					t.Errorf("%s is made twice", o)
				}
				seen[o.String()] = true
				if err := create(o.text); err != nil {
					t.Errorf("%s is refused: %v\n%s", o, err, o.text)
				}
			}
			if len(seen) < 15 {
				t.Errorf("the chart makes %d objects only: %v", len(seen), slices.Sorted(maps.Keys(seen)))
			}
		})
	}
}

// TestHelmFindsNothing: helm lint has no word against the chart.
func TestHelmFindsNothing(t *testing.T) {
	for _, m := range lint.RunAll(chart, least(), namespace).Messages {
		if m.Severity > support.InfoSev {
			t.Errorf("helm lint: %v", m)
		}
	}
}

// templates are the pods that objects would start.
func templates(t *testing.T, objects []object) map[string]corev1.PodTemplateSpec {
	t.Helper()
	pods := map[string]corev1.PodTemplateSpec{}
	for _, o := range objects {
		var holder struct {
			Spec struct {
				Template    corev1.PodTemplateSpec
				JobTemplate struct {
					Spec struct{ Template corev1.PodTemplateSpec }
				}
			}
		}
		if err := yaml.Unmarshal(o.text, &holder); err != nil {
			t.Fatal(err)
		}
		switch o.Kind {
		case "Deployment", "StatefulSet", "Job":
			pods[o.String()] = holder.Spec.Template
		case "CronJob":
			pods[o.String()] = holder.Spec.JobTemplate.Spec.Template
		}
	}
	return pods
}

// TestPodsAreRestricted: every pod keeps to the strictest of the pod security
// standards, asks for what it needs, writes nowhere but in its volumes, and is
// given no variable that the program would take for a setting.
func TestPodsAreRestricted(t *testing.T) {
	for name, values := range shapes(t) {
		for pod, template := range templates(t, mustRender(t, values)) {
			if err := restricted(template); err != nil {
				t.Errorf("%s: %s: %v", name, pod, err)
			}
			if links := template.Spec.EnableServiceLinks; links == nil || *links {
				t.Errorf("%s: %s gets FERNWEH_..._SERVICE_HOST, which the program refuses", name, pod)
			}
			for _, c := range template.Spec.Containers {
				checkContainer(t, name+": "+pod+": "+c.Name, c)
			}
		}
	}
}

func checkContainer(t *testing.T, where string, c corev1.Container) {
	t.Helper()
	if s := c.SecurityContext; s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
		t.Errorf("%s may write its root", where)
	}
	if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
		t.Errorf("%s asks for %v, want a request for CPU and memory and a limit of memory", where, c.Resources)
	}
}

// TestARestrictedPodIsRefused: the check above can say no.
func TestARestrictedPodIsRefused(t *testing.T) {
	for pod, template := range templates(t, mustRender(t, least())) {
		template.Spec.Containers[0].SecurityContext.Capabilities = nil
		if err := restricted(template); err == nil || !strings.Contains(err.Error(), "capabilities") {
			t.Errorf("%s without dropped capabilities: got %v", pod, err)
		}
	}
}

// TestWrongValuesAreRefused: a value that makes no sense is named before anything
// reaches the cluster.
func TestWrongValuesAreRefused(t *testing.T) {
	for _, c := range []struct{ name, text, says string }{
		{"a name that is none", "{ingest: {replica: 3}}", "replica"},
		{"a scaling that is none", "{scaling: kda}", "scaling"},
		{"an hour that is none", `{hours: {open: "25:00"}}`, "hours/open"},
		{"an hour without quotes", `{hours: {open: 36000}}`, "hours/open"},
		{"a write key in clear", "{ingest: {writeKeys: {web: secret}}}", "writeKeys/web"},
		{"nobody may send", "{ingest: {writeKeys: null}}", "nobody could send"},
		{"an administrator's key in clear", "{serve: {adminKeys: {admin: secret}}}", "adminKeys/admin"},
		{"nobody may act", "{serve: {adminKeys: null}}", "without an administrator's key"},
		{"two places for administrators' keys", "{serve: {adminKeysSecret: keys}}", "which is it"},
		{"a host with its scheme", "{serve: {hosts: ['https://portal.example.com']}}", "serve/hosts"},
		{"two places for write keys", "{ingest: {writeKeysSecret: keys}}", "which is it"},
		{"no broker", "{kafka: {brokers: []}}", "kafka.brokers"},
		{"a broker without port", "{kafka: {brokers: [kafka]}}", "kafka/brokers/0"},
		{"no HBase", "{hbase: {quorum: []}}", "hbase.quorum"},
		{"no Elasticsearch", "{elastic: {urls: []}}", "elastic.urls"},
		{"Elasticsearch without scheme", `{elastic: {urls: ["elastic:9200"]}}`, "elastic/urls/0"},
		{"a login without a secret", "{kafka: {sasl: {mechanism: PLAIN}}}", "kafka.sasl.existingSecret"},
		{"a mechanism that is none", "{kafka: {sasl: {mechanism: scram-sha-512}}}", "mechanism"},
		{"more pods than partitions", "{kafka: {partitions: 4}}", "kafka.partitions is 4"},
		{"fewer than the least", "{speed: {autoscaling: {min: 9}}}", "speed.autoscaling.min"},
		{"certificates without TLS", "{kafka: {tls: {caSecret: ca}}}", "kafka.tls.enabled"},
		{"cronjobs without kubectl", "{scaling: cronjobs}", "kubectl.image"},
		{"a rebuild into the one in use", "{rebuild: {enabled: true, into: fernweh}}", "rebuild.into and views"},
		{"a rebuild to nowhere", "{rebuild: {enabled: true}}", "rebuild.into"},
		{"an ingress without host", "{ingress: {enabled: true}}", "ingress.host"},
		{"memory in another tongue", "{speed: {goMemory: 2GB}}", "speed/goMemory"},
		{"a digest that is none", "{image: {digest: latest}}", "image/digest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := render(with(t, c.text))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want an error with %q", err, c.says)
			}
		})
	}
}

// TestTheHours: within the hours a layer follows its lag and at least its least
// pods run; outside of them no lag wakes it. The formula is run as KEDA runs it.
func TestTheHours(t *testing.T) {
	objects := mustRender(t, with(t, `{hours: {open: "09:05", close: "23:30"}, speed: {autoscaling: {min: 2, max: 8, lag: 1000}}}`))
	i := slices.IndexFunc(objects, func(o object) bool { return o.String() == "ScaledObject/autumn-fernweh-speed" })
	var scaled struct {
		Spec struct {
			MinReplicaCount int
			Advanced        struct {
				ScalingModifiers struct{ Formula, Target string }
			}
			Triggers []struct {
				Type     string
				Metadata map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(objects[i].text, &scaled); err != nil {
		t.Fatal(err)
	}
	if lag := scaled.Spec.Triggers[0].Metadata; lag["consumerGroup"] != "fernweh-speed" || lag["topic"] != "fernweh.events" {
		t.Errorf("speed's lag is looked for at %v", lag)
	}
	modifiers := scaled.Spec.Advanced.ScalingModifiers
	hours := scaled.Spec.Triggers[1].Metadata
	if scaled.Spec.MinReplicaCount != 0 || modifiers.Target != "1000" ||
		hours["start"] != "5 9 * * *" || hours["end"] != "30 23 * * *" || hours["desiredReplicas"] != "2" {
		t.Errorf("got %+v", scaled.Spec)
	}
	program, err := expr.Compile(modifiers.Formula)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name             string
		lag, hours, want float64
	}{
		{"a quiet day", 0, 2, 2000},
		{"a busy day", 7000, 2, 7000},
		{"a quiet night", 0, 0, 0},
		{"a busy night", 7000, 0, 0},
		{"a busy night of an older KEDA", 7000, 1, 0},
	} {
		got, err := expr.Run(program, map[string]any{"lag": c.lag, "hours": c.hours})
		if err != nil || got != any(c.want) {
			t.Errorf("%s: got %v, %v, want %v of a target of 1000 a pod", c.name, got, err, c.want)
		}
	}
}

// TestLagIsLookedForWhereReadersAre: the groups and topics are those that the
// program has with such settings: the prefix in front, and of what each set of
// views has its own of, its name behind.
func TestLagIsLookedForWhereReadersAre(t *testing.T) {
	want := map[string][2]string{
		"autumn-fernweh-speed":   {"north-speed-alps", "north.events"},
		"autumn-fernweh-index":   {"north-index-alps", "north.decisions"},
		"autumn-fernweh-archive": {"north-archive", "north.events"},
	}
	for _, o := range mustRender(t, with(t, "{kafka: {prefix: north}, views: alps}")) {
		if o.Kind != "ScaledObject" {
			continue
		}
		var s struct {
			Spec struct {
				Triggers []struct {
					Metadata struct{ ConsumerGroup, Topic string }
				}
			}
		}
		if err := yaml.Unmarshal(o.text, &s); err != nil {
			t.Fatal(err)
		}
		m := s.Spec.Triggers[0].Metadata
		if got := [2]string{m.ConsumerGroup, m.Topic}; got != want[o.Metadata.Name] {
			t.Errorf("%s looks at %v, want %v", o, got, want[o.Metadata.Name])
		}
	}
}

// TestPoliciesFitPods: each policy, budget and service speaks of pods that there
// are, each container of the release is under the policy that refuses all, and
// ports that are open are ports that pods have.
func TestPoliciesFitPods(t *testing.T) {
	for _, shape := range []string{"full", "cronjobs"} {
		objects := mustRender(t, shapes(t)[shape])
		pods := templates(t, objects)
		for _, o := range objects {
			selector := selectorOf(t, o)
			if selector == nil {
				continue
			}
			n := 0
			for _, p := range pods {
				if selector.Matches(labels.Set(p.Labels)) {
					n++
				}
			}
			if n == 0 {
				t.Errorf("%s: %s selects nothing", shape, o)
			}
			if strings.HasSuffix(o.Metadata.Name, "-nothing") && n != len(pods) {
				t.Errorf("%s: %s selects %d of %d pods", shape, o, n, len(pods))
			}
		}
	}
}

// selectorOf is whom an object speaks of; nil: of nobody.
func selectorOf(t *testing.T, o object) labels.Selector {
	t.Helper()
	var holder struct {
		Spec struct {
			Selector    map[string]any
			PodSelector *metav1.LabelSelector
		}
	}
	if err := yaml.Unmarshal(o.text, &holder); err != nil {
		t.Fatal(err)
	}
	var s *metav1.LabelSelector
	switch o.Kind {
	case "NetworkPolicy":
		s = holder.Spec.PodSelector
	case "Service":
		set := labels.Set{}
		for k, v := range holder.Spec.Selector {
			set[k] = v.(string)
		}
		return set.AsSelector()
	case "PodDisruptionBudget", "PodMonitor":
		var typed struct {
			Spec struct{ Selector metav1.LabelSelector }
		}
		if err := yaml.Unmarshal(o.text, &typed); err != nil {
			t.Fatal(err)
		}
		s = &typed.Spec.Selector
	default:
		return nil
	}
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return selector
}

// TestOpenPortsAreDoors: a port that a policy lets in is one that a container of
// the pods it selects listens on.
func TestOpenPortsAreDoors(t *testing.T) {
	objects := mustRender(t, with(t, full))
	pods := templates(t, objects)
	for _, o := range objects {
		var p networkingv1.NetworkPolicy
		if o.Kind != "NetworkPolicy" {
			continue
		}
		if err := yaml.Unmarshal(o.text, &p); err != nil {
			t.Fatal(err)
		}
		doors := map[int32]bool{}
		for _, template := range pods {
			if selectorOf(t, o).Matches(labels.Set(template.Labels)) {
				for _, port := range template.Spec.Containers[0].Ports {
					doors[port.ContainerPort] = true
				}
			}
		}
		for _, rule := range p.Spec.Ingress {
			for _, port := range rule.Ports {
				if !doors[port.Port.IntVal] {
					t.Errorf("%s lets port %v in, and nobody listens on it", o, port.Port)
				}
			}
		}
	}
}

// TestTheProgramTakesTheSettings: the settings file that the chart makes, and the
// variables and arguments beside it, are ones that the program knows; and a file
// that it reads is one that the pod has.
func TestTheProgramTakesTheSettings(t *testing.T) {
	for name, values := range shapes(t) {
		objects := mustRender(t, values)
		for pod, template := range templates(t, objects) {
			c := template.Spec.Containers[0]
			if len(c.Args) == 0 {
				continue // kubectl
			}
			file := filepath.Join(t.TempDir(), "settings.yaml")
			text := strings.ReplaceAll(settings(t, objects), "/secrets/", secrets(t, template.Spec)+"/")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			takes(t, name+": "+pod, file, c)
		}
	}
}

// settings is the file in the chart's ConfigMap.
func settings(t *testing.T, objects []object) string {
	t.Helper()
	i := slices.IndexFunc(objects, func(o object) bool { return o.Kind == "ConfigMap" })
	var c corev1.ConfigMap
	if err := yaml.Unmarshal(objects[i].text, &c); err != nil {
		t.Fatal(err)
	}
	return c.Data["settings.yaml"]
}

// secrets is a folder as the pod sees it under /secrets, with the keys that
// docs/deployment.md asks of each Secret.
func secrets(t *testing.T, pod corev1.PodSpec) string {
	t.Helper()
	keys := map[string][]string{
		"kafka": {"username", "password"}, "kafka-ca": {"ca.crt"}, "kafka-cert": {"tls.crt", "tls.key"},
		"elastic": {"username", "password", "api-key"}, "elastic-ca": {"ca.crt"},
	}
	dir := t.TempDir()
	for _, m := range pod.Containers[0].VolumeMounts {
		name, ok := strings.CutPrefix(m.MountPath, "/secrets/")
		if !ok {
			continue
		}
		for _, key := range keys[name] {
			path := filepath.Join(dir, name, key)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte("secret"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// takes runs the program's config with what a container would be given.
func takes(t *testing.T, where, file string, c corev1.Container) {
	t.Helper()
	config := exec.Command(fernweh(t), "config")
	config.Env = []string{}
	for _, e := range c.Env {
		value := e.Value
		switch {
		case e.Name == "FERNWEH_CONFIG":
			value = file
		case e.Name == "FERNWEH_INGEST_WRITE_KEYS" && e.ValueFrom != nil:
			value = "web=" + hash
		case e.Name == "FERNWEH_SERVE_ADMIN_KEYS" && e.ValueFrom != nil:
			value = "admin=" + hash
		case e.ValueFrom != nil:
			value = "portal"
		}
		config.Env = append(config.Env, e.Name+"="+value)
	}
	if out, err := config.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", where, err, out)
	}
	out, err := exec.Command(fernweh(t), append(slices.Clone(c.Args), "-h")...).CombinedOutput()
	if err != nil {
		t.Errorf("%s: fernweh %v: %v\n%s", where, c.Args, err, out)
	}
}
