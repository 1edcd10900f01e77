package native

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"unicode/utf16"
)

// A place is where a server is, as the templates of its settings name it.
type place struct {
	Dir   string
	Data  string // where it keeps what it was given
	ports Ports
	Secret
}

// Port is the port of a listener.
func (p place) Port(listener string) (int, error) {
	port, ok := p.ports[listener]
	if !ok {
		return 0, fmt.Errorf("no port is called %s", listener)
	}
	return port, nil
}

// render fills the places of a server into one of its templates.
func (k Kind) render(name string, p place) ([]byte, error) {
	t, err := template.New(name).Funcs(template.FuncMap{"property": property}).Parse(string(k.file(name)))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, p); err != nil {
		return nil, fmt.Errorf("settings of %s: %w", k, err)
	}
	return b.Bytes(), nil
}

// configure writes the settings of a server as they are for this folder and these ports.
func (s *Server) configure(dir, name string, p place) error {
	b, err := s.kind.render(name, p)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return replaceFile(filepath.Join(dir, name), b, 0o600) // Kafka's hold a password
}

// place is where the server is, for its templates.
func (s *Server) place() place {
	return place{Dir: s.dir, Data: filepath.Join(s.dir, "data"), ports: s.ports}
}

// property writes a value for a file of Java's properties, whose bytes are
// taken for Latin-1 and in which a backslash begins an escape.
func property(value string) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(value)) {
		if unit < 0x20 || unit > 0x7e || unit == '\\' {
			fmt.Fprintf(&b, `\u%04x`, unit)
		} else {
			b.WriteByte(byte(unit))
		}
	}
	return b.String()
}
