package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A setting is one thing that can be chosen without building anew.
type setting struct {
	name     string // kebab-case
	value    string // default
	about    string // a sentence, without a full stop
	kind     kind
	commands string // blank-separated names of those it concerns
}

// settingsOf is the settings that concern a command.
func (c *config) settingsOf(command string) []setting {
	return slices.DeleteFunc(c.settings(), func(s setting) bool { return !concerns(s.commands, command) })
}

// concerns says whether the command is one of the blank-separated names.
// config shows every setting and so is concerned by all.
func concerns(commands, command string) bool {
	return command == "config" || slices.Contains(strings.Fields(commands), command)
}

func (s setting) variable() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
}

const (
	envPrefix   = "FERNWEH_"
	fileSetting = "config" // names the file, and so can't stand in it

	// Where the tests find recorded data and servers. They are no settings, but
	// programs that a test starts inherit them.
	envTestData    = "FERNWEH_DATA"
	envTestServers = "FERNWEH_TEST_"
	envNative      = "FERNWEH_NATIVE_"
)

func noSetting(variable string) bool {
	return variable == envTestData || strings.HasPrefix(variable, envTestServers) || strings.HasPrefix(variable, envNative)
}

// A choice is what a setting was set to, and where.
type choice struct {
	setting setting
	text    string
	origin  string // "default", "--flag", "FERNWEH_VARIABLE" or "file.yaml:line"
}

// place is the origin for a message that must say which setting it was.
func (c choice) place() string {
	if c.origin == "--"+c.setting.name || c.origin == c.setting.variable() {
		return c.origin
	}
	return c.origin + ": " + c.setting.name
}

func (c choice) masked() string {
	if c.setting.kind.mask == nil {
		return c.text
	}
	return c.setting.kind.mask(c.text)
}

// choices are by the setting's name.
type choices map[string]choice

// load is the settings that the command line, the environment and the file
// leave in force for a command. A flag goes before the environment, that before
// the file, and that before the default. Everything that is wrong is said at once.
func load(c command, args, environ []string) (*config, error) {
	cfg := new(config)
	settings := cfg.settings()
	if len(cfg.settingsOf(c.name)) == 0 {
		settings, environ = nil, nil // a command without settings works whatever is set
	}
	flags, rest, flagErr := fromArgs(c, settings, args)
	vars, varErr := fromEnviron(settings, environ)
	file, fileErr := fromFile(settings, pick(fileSetting, flags, vars).text)
	cfg.Args = rest
	defaults := map[string]string{}
	if pick("real", flags, vars, file).text == "true" {
		defaults = realDefaults()
	}

	errs := []error{flagErr, varErr, fileErr}
	for _, s := range settings {
		f := pick(s.name, flags, vars, file)
		if f.origin == "" {
			f = choice{s, s.value, "default"}
			if value, ok := defaults[s.name]; ok {
				f = choice{s, value, "real"}
			}
		}
		if err := s.kind.set(f.text); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.place(), err))
		}
		cfg.inForce = append(cfg.inForce, f)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return cfg, cfg.check(c.name)
}

// pick is the first choice among the sources, or none.
func pick(name string, sources ...choices) choice {
	for _, source := range sources {
		if c, ok := source[name]; ok {
			return c
		}
	}
	return choice{}
}

// fromArgs takes a command's flags, --name value or --name=value, and what else
// stands between them. Of a flag that is given twice the last counts.
func fromArgs(c command, settings []setting, args []string) (choices, []string, error) {
	given := choices{}
	var rest []string
	var errs []error
	for len(args) > 0 && args[0] != "--" {
		if !strings.HasPrefix(args[0], "-") || args[0] == "-" {
			rest, args = append(rest, args[0]), args[1:]
			continue
		}
		f, used, err := takeFlag(c, settings, args)
		args = args[used:]
		if err != nil {
			errs = append(errs, err)
			continue
		}
		given[f.setting.name] = f
	}
	rest = append(rest, args[min(1, len(args)):]...)
	if c.args == "" && len(rest) > 0 {
		errs = append(errs, fmt.Errorf("%s takes settings only, not %q", c.name, rest[0]))
	}
	return given, rest, errors.Join(errs...)
}

// takeFlag takes the first of args, a flag, and its value; used is how many of
// args they are, also where the flag is wrong.
func takeFlag(c command, settings []setting, args []string) (f choice, used int, err error) {
	name, value, joined := strings.Cut(strings.TrimLeft(args[0], "-"), "=")
	hasNext := len(args) > 1 && !strings.HasPrefix(args[1], "--")
	s, err := findFlag(c, settings, name)
	f = choice{s, value, "--" + name}
	switch {
	case joined:
		return f, 1, err
	case err == nil && s.kind.bare != "":
		f.text = s.kind.bare
		return f, 1, nil
	case hasNext:
		f.text = args[1]
		return f, 2, err
	case err != nil:
		return f, 1, err
	}
	return f, 1, fmt.Errorf("--%s needs a value: --%s %s", name, name, s.kind.noun)
}

func findFlag(c command, settings []setting, name string) (setting, error) {
	var names []string
	for _, s := range settings {
		switch {
		case concerns(s.commands, c.name) && s.name == name:
			return s, nil
		case s.name == name:
			return setting{}, fmt.Errorf("--%s does not concern %s, but %s", name, c.name,
				strings.Join(strings.Fields(s.commands), ", "))
		case concerns(s.commands, c.name):
			names = append(names, "--"+s.name)
		}
	}
	return setting{}, fmt.Errorf("--%s: %s has no such setting%s", name, c.name, didYouMean(nearest("--"+name, names)))
}

// fromEnviron takes every variable that begins with FERNWEH_.
func fromEnviron(settings []setting, environ []string) (choices, error) {
	given := choices{}
	var names []string
	for _, s := range settings {
		names = append(names, s.variable())
	}
	var errs []error
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) || noSetting(name) {
			continue
		}
		i := slices.Index(names, name)
		if i < 0 {
			errs = append(errs, fmt.Errorf("%s: there is no such setting%s", name, didYouMean(nearest(name, names))))
			continue
		}
		given[settings[i].name] = choice{settings[i], value, name}
	}
	return given, errors.Join(errs...)
}

// fromFile takes the YAML file's settings; no path, no file.
func fromFile(settings []setting, path string) (choices, error) {
	if path == "" {
		return nil, nil
	}
	if err := expectFile(path); err != nil {
		return nil, fmt.Errorf("read settings (config): %w", err)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	defer file.Close()
	return fromYAML(settings, path, file)
}

// fromYAML takes one flat mapping of names to values. A list may stand as a
// YAML list and a map as a YAML mapping.
func fromYAML(settings []setting, path string, r io.Reader) (choices, error) {
	var document yaml.Node
	decoder := yaml.NewDecoder(r)
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, nil // an empty file sets nothing
	case err != nil:
		return nil, fmt.Errorf("read settings %s: %w", path, err)
	}
	top := document.Content[0]
	if top.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s:%d: want lines of \"setting: value\"", path, top.Line)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: want one YAML document, found more", path)
	}
	given := choices{}
	var errs []error
	for i := 0; i < len(top.Content); i += 2 {
		c, err := fromNode(settings, top.Content[i], top.Content[i+1])
		c.origin = fmt.Sprintf("%s:%d", path, top.Content[i].Line)
		if earlier, twice := given[c.setting.name]; err == nil && twice {
			err = fmt.Errorf("%s is set a second time, first in %s", c.setting.name, earlier.origin)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.origin, err))
			continue
		}
		given[c.setting.name] = c
	}
	return given, errors.Join(errs...)
}

func fromNode(settings []setting, key, value *yaml.Node) (choice, error) {
	i := slices.IndexFunc(settings, func(s setting) bool { return s.name == key.Value && s.name != fileSetting })
	if i < 0 {
		var names []string
		for _, s := range settings {
			names = append(names, s.name)
		}
		return choice{}, fmt.Errorf("there is no setting %q%s", key.Value, didYouMean(nearest(key.Value, names)))
	}
	text, err := nodeText(value)
	if err != nil {
		return choice{}, fmt.Errorf("%s: %w", key.Value, err)
	}
	return choice{setting: settings[i], text: text}, nil
}

// nodeText is a YAML value as a flag would have it: a,b or a=1,b=2.
func nodeText(n *yaml.Node) (string, error) {
	var parts []string
	for i, child := range n.Content {
		if child.Kind != yaml.ScalarNode {
			return "", fmt.Errorf("line %d is nested too deep", child.Line)
		}
		if n.Kind == yaml.MappingNode && i%2 == 1 {
			parts[len(parts)-1] += "=" + child.Value
			continue
		}
		parts = append(parts, child.Value)
	}
	switch {
	case n.Kind == yaml.AliasNode:
		return "", errors.New("aliases are not taken")
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		return "", errors.New(`has no value; write "" for an empty one`)
	case n.Kind == yaml.ScalarNode:
		return n.Value, nil
	}
	return strings.Join(parts, ","), nil
}

// printHelp explains a command and the settings that concern it.
func printHelp(w io.Writer, c command) {
	settings := new(config).settingsOf(c.name)
	if len(settings) == 0 {
		fmt.Fprintf(w, "fernweh %s\n    %s\n", c.name, c.about)
		return
	}
	fmt.Fprintf(w, "%s\n    %s\n", strings.TrimSpace("fernweh "+c.name+" [settings] "+c.args), c.about)
	for _, s := range settings {
		fmt.Fprintf(w, "\n  --%s %s", s.name, s.kind.noun)
		if s.value != "" {
			fmt.Fprintf(w, "  (%s)", s.value)
		}
		fmt.Fprintf(w, "\n      %s\n", s.about)
	}
	fmt.Fprintf(w, "\nA setting --some-name may also be the environment's %sSOME_NAME, or some-name in the\n"+
		"YAML file that --config names. A flag goes before the environment, that before the file.\n", envPrefix)
}

func didYouMean(name string) string {
	if name == "" {
		return ""
	}
	return "; did you mean " + name + "?"
}

// nearest is the name that was probably meant: a few letters away, or one whose
// last part was given alone; "" if none is near.
func nearest(given string, names []string) string {
	best, least := "", len(given)/3+1
	for _, name := range names {
		if d := distance(given, name); d < least {
			best, least = name, d
		}
	}
	if best != "" {
		return best
	}
	end := strings.TrimLeft(given, "-")
	i := slices.IndexFunc(names, func(name string) bool { return end != "" && strings.HasSuffix(name, "-"+end) })
	if i < 0 {
		return ""
	}
	return names[i]
}

// distance is Levenshtein's: how many letters to put in, take out or change.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
