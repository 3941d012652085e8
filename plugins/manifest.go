package plugins

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/anonymous-media-library/aml/internal/size"
)

// How much plugin.yaml may say.
const (
	MaxManifest   = 64 << 10 // bytes of plugin.yaml
	maxText       = 1024     // bytes of one text
	maxItems      = 64       // of one list
	MaxPriority   = 1000     // and the least is its negative
	MinMemory     = 16 << 20
	MaxMemory     = 16 << 30
	DefaultMemory = 512 << 20
)

// Manifest is plugin.yaml: what a plugin says of itself before it has ever run.
type Manifest struct {
	Format       int               `yaml:"format"` // 1
	ID           string            `yaml:"id"`
	Version      string            `yaml:"version"`
	Title        string            `yaml:"title,omitempty"`
	Description  string            `yaml:"description,omitempty"`
	Author       string            `yaml:"author,omitempty"`
	License      string            `yaml:"license,omitempty"`
	Homepage     string            `yaml:"homepage,omitempty"`
	Hooks        []Hook            `yaml:"hooks"`
	Capabilities []Capability      `yaml:"capabilities,omitempty"`
	Priority     int               `yaml:"priority,omitempty"` // higher is asked first; -1,000 to 1,000
	Binaries     map[string]string `yaml:"binaries"`           // OS/ARCH, or any, to a path in the plugin's folder
	Args         []string          `yaml:"args,omitempty"`
	Memory       string            `yaml:"memory,omitempty"` // such as 256MiB
	Config       []Setting         `yaml:"config,omitempty"`
	Formats      []string          `yaml:"formats,omitempty"` // that Render knows
}

// Setting is a value that an operator may or must set.
type Setting struct {
	Key      string `yaml:"key"`
	Doc      string `yaml:"doc,omitempty"`
	Default  string `yaml:"default,omitempty"`
	Required bool   `yaml:"required,omitempty"`
	Secret   bool   `yaml:"secret,omitempty"` // is not shown
}

// AnyPlatform is the key of a binary that runs everywhere, such as a script.
const AnyPlatform = "any"

var (
	idForm       = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	versionForm  = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)
	platformForm = regexp.MustCompile(`^[a-z0-9]+/[a-z0-9]+$`)
	keyForm      = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,63}$`)
)

// ValidID reports whether a plugin may be called that.
func ValidID(id string) bool { return len(id) <= 32 && idForm.MatchString(id) }

// ParseManifest reads plugin.yaml. It refuses unknown and repeated keys,
// anchors, aliases, more than one document, and whatever else is not as
// docs/plugins.md has it; errors wrap ErrManifest and name the field.
func ParseManifest(text []byte) (Manifest, error) {
	var m Manifest
	if err := parseYAML(text, &m); err != nil {
		return Manifest{}, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if err := m.validate(); err != nil {
		return Manifest{}, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	return m, nil
}

func parseYAML(text []byte, into any) error {
	if len(text) > MaxManifest {
		return fmt.Errorf("it has %d bytes, at most %d are allowed", len(text), MaxManifest)
	}
	if !utf8.Valid(text) {
		return errors.New("it is not UTF-8")
	}
	// Anchors could make a small text large. They begin with these, and nothing that
	// is allowed here has to; so YAML need not be read to know.
	var node yaml.Node
	first := yaml.NewDecoder(bytes.NewReader(text))
	if err := first.Decode(&node); errors.Is(err, io.EOF) {
		return errors.New("it is empty; want format, id, version, hooks and binaries")
	} else if err != nil {
		return said(err)
	}
	if err := plain(&node, 0); err != nil {
		return err
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		return said(err)
	}
	if err := first.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("it has more than one document")
	}
	return nil
}

// How the parser speaks of fields and types of this program.
var (
	unknownField = regexp.MustCompile(`^(line \d+): field (.*) not found in type \S+$`)
	wrongType    = regexp.MustCompile("^(line \\d+): cannot unmarshal !!(\\w+) ?(`.*`)? ?into (\\S+)$")
)

// said is what the parser means, for people: what they know are keys and values.
func said(err error) error {
	bad, ok := errors.AsType[*yaml.TypeError](err)
	if !ok {
		return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	var out []string
	for _, e := range bad.Errors {
		if m := unknownField.FindStringSubmatch(e); m != nil {
			e = fmt.Sprintf("%s: there is no key %q", m[1], m[2])
		} else if m := wrongType.FindStringSubmatch(e); m != nil {
			have, ok := map[string]string{"seq": "a list", "map": "keys with values", "null": "nothing"}[m[2]]
			if !ok {
				have = strings.Trim(m[3], "`")
			}
			e = fmt.Sprintf("%s: want %s, and not %s", m[1], kindOf(m[4]), have)
		}
		out = append(out, e)
	}
	return errors.New(strings.Join(out, "; "))
}

// kindOf says in YAML's words what a type of this program is read from.
func kindOf(name string) string {
	switch {
	case name == "int":
		return "a whole number"
	case name == "bool":
		return "true or false"
	case strings.HasPrefix(name, "[]"):
		return "a list, such as [a, b]"
	case strings.HasPrefix(name, "map["), name == "plugins.Manifest", name == "plugins.Setting":
		return "keys with values"
	}
	return "a text"
}

// plain refuses what plugin.yaml has no use for.
func plain(n *yaml.Node, depth int) error {
	switch {
	case depth > 8:
		return fmt.Errorf("line %d: nested too deeply", n.Line)
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return fmt.Errorf("line %d: anchors and aliases are not allowed", n.Line)
	case n.Kind == yaml.MappingNode && slices.ContainsFunc(n.Content, func(c *yaml.Node) bool { return c.Tag == "!!merge" }):
		return fmt.Errorf("line %d: merging is not allowed", n.Line)
	case n.Style&yaml.TaggedStyle != 0, n.Tag != "" && !strings.HasPrefix(n.Tag, "!!"):
		return fmt.Errorf("line %d: tags are not allowed", n.Line)
	}
	for _, c := range n.Content {
		if err := plain(c, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (m Manifest) validate() error {
	if m.Format != 1 {
		return fmt.Errorf("format: it is %d, this version of aml reads 1", m.Format)
	}
	if !ValidID(m.ID) {
		return fmt.Errorf("id: %q is none; want 1 to 32 of a-z, 0-9 and single hyphens, beginning with a letter", m.ID)
	}
	if len(m.Version) > 64 || !versionForm.MatchString(m.Version) {
		return fmt.Errorf("version: %q is none; want one such as 1.2.3", m.Version)
	}
	for name, text := range map[string]string{"title": m.Title, "description": m.Description, "author": m.Author, "license": m.License, "homepage": m.Homepage} {
		if err := line(text); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if m.Priority < -MaxPriority || m.Priority > MaxPriority {
		return fmt.Errorf("priority: %d is not within -%d to %d", m.Priority, MaxPriority, MaxPriority)
	}
	if _, err := m.MemoryLimit(); err != nil {
		return fmt.Errorf("memory: %w", err)
	}
	for _, check := range []func() error{m.checkHooks, m.checkBinaries, m.checkConfig} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (m Manifest) checkHooks() error {
	if len(m.Hooks) == 0 {
		return fmt.Errorf("hooks: there is none; want some of %v", hookNames())
	}
	if again, ok := repeated(m.Hooks); ok {
		return fmt.Errorf("hooks: %q twice", again)
	}
	if again, ok := repeated(m.Capabilities); ok {
		return fmt.Errorf("capabilities: %q twice", again)
	}
	for _, c := range m.Capabilities {
		if c.Proto() == 0 {
			return fmt.Errorf("capabilities: %q is none; there are %v", c, Capabilities())
		}
	}
	for _, h := range m.Hooks {
		rule, ok := RuleOf(h)
		if !ok {
			return fmt.Errorf("hooks: %q is none; there are %v", h, hookNames())
		}
		for _, c := range rule.Needs {
			if !slices.Contains(m.Capabilities, c) {
				return fmt.Errorf("capabilities: hook %s needs %q", h, c)
			}
		}
	}
	if len(m.Formats) > 0 && !slices.Contains(m.Hooks, Render) {
		return errors.New("formats: only hook Render has them")
	}
	if len(m.Formats) > maxItems {
		return fmt.Errorf("formats: %d of them, at most %d are allowed", len(m.Formats), maxItems)
	}
	for _, f := range m.Formats {
		if !keyForm.MatchString(f) {
			return fmt.Errorf("formats: %q is no name", f)
		}
	}
	return nil
}

func (m Manifest) checkBinaries() error {
	if len(m.Binaries) == 0 {
		return errors.New("binaries: there is none")
	}
	if len(m.Binaries) > maxItems || len(m.Args) > maxItems {
		return fmt.Errorf("binaries, args: at most %d are allowed", maxItems)
	}
	for platform, file := range m.Binaries {
		if platform != AnyPlatform && !platformForm.MatchString(platform) {
			return fmt.Errorf("binaries: %q is no platform; want one such as linux/amd64, or %s", platform, AnyPlatform)
		}
		if err := inside(file); err != nil {
			return fmt.Errorf("binaries: %s: %w", platform, err)
		}
	}
	for _, a := range m.Args {
		if err := line(a); err != nil {
			return fmt.Errorf("args: %w", err)
		}
	}
	return nil
}

func (m Manifest) checkConfig() error {
	if len(m.Config) > maxItems {
		return fmt.Errorf("config: %d settings, at most %d are allowed", len(m.Config), maxItems)
	}
	seen := map[string]bool{}
	for _, s := range m.Config {
		if !keyForm.MatchString(s.Key) {
			return fmt.Errorf("config: %q is no key", s.Key)
		}
		if seen[s.Key] {
			return fmt.Errorf("config: %q twice", s.Key)
		}
		seen[s.Key] = true
		for _, text := range []string{s.Doc, s.Default} {
			if err := line(text); err != nil {
				return fmt.Errorf("config: %s: %w", s.Key, err)
			}
		}
		if s.Required && s.Default != "" {
			return fmt.Errorf("config: %s is required and has a default", s.Key)
		}
	}
	return nil
}

// MemoryLimit is how much memory the plugin asks for.
func (m Manifest) MemoryLimit() (int64, error) {
	if m.Memory == "" {
		return DefaultMemory, nil
	}
	n, err := size.Parse(m.Memory)
	if err == nil && (n < MinMemory || n > MaxMemory) {
		err = fmt.Errorf("%s is not within %s to %s", m.Memory, size.Format(MinMemory), size.Format(MaxMemory))
	}
	return n, err
}

// Has reports whether the plugin has a hook.
func (m Manifest) Has(h Hook) bool { return slices.Contains(m.Hooks, h) }

// Binary is the path of what runs on a system, such as linux/amd64, and the key
// under which it stands.
func (m Manifest) Binary(platform string) (file, key string, err error) {
	for _, key := range []string{platform, AnyPlatform} {
		if file, ok := m.Binaries[key]; ok {
			return file, key, nil
		}
	}
	return "", "", fmt.Errorf("%s %s: %w, %s; it has %s", m.ID, m.Version, ErrPlatform, platform, strings.Join(slices.Sorted(maps.Keys(m.Binaries)), ", "))
}

// Settings returns the values that the plugin is given: what the operator has
// set, and defaults. Errors wrap ErrConfig.
func (m Manifest) Settings(set map[string]string) (map[string]string, error) {
	out, known := map[string]string{}, []string(nil)
	for _, s := range m.Config {
		known = append(known, s.Key)
		v, ok := set[s.Key]
		switch {
		case ok:
			out[s.Key] = v
		case s.Required:
			return nil, fmt.Errorf("%w: %s is not set: aml plugin-config %s %s=VALUE", ErrConfig, s.Key, m.ID, s.Key)
		case s.Default != "":
			out[s.Key] = s.Default
		}
	}
	for key := range set {
		if !slices.ContainsFunc(m.Config, func(s Setting) bool { return s.Key == key }) {
			return nil, fmt.Errorf("%w: %s has no setting %q; it has %s", ErrConfig, m.ID, key, cmp.Or(strings.Join(known, ", "), "none"))
		}
	}
	return out, nil
}

func hookNames() (out []Hook) {
	for _, r := range Rules() {
		out = append(out, r.Hook)
	}
	return out
}

func repeated[T comparable](list []T) (T, bool) {
	seen := map[T]bool{}
	for _, v := range list {
		if seen[v] {
			return v, true
		}
		seen[v] = true
	}
	var none T
	return none, false
}

// line refuses what could do something to a terminal.
func line(s string) error {
	if len(s) > maxText {
		return fmt.Errorf("%d bytes, at most %d are allowed", len(s), maxText)
	}
	for _, r := range s {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0xfeff {
			return fmt.Errorf("it has the control character %U", r)
		}
	}
	return nil
}

// ValidFile refuses a name that no file of a plugin can have, by its slash path in
// the plugin's folder.
func ValidFile(name string) error { return inside(name) }

// inside refuses a path that leads out of the plugin's folder.
func inside(p string) error {
	if err := line(p); err != nil {
		return err
	}
	if p == "" || len(p) > 256 || path.IsAbs(p) || path.Clean(p) != p || p == "." || p == ".." || strings.HasPrefix(p, "../") || strings.ContainsAny(p, `\:`) {
		return fmt.Errorf("path %q: want one inside the plugin's folder, with slashes", p)
	}
	return nil
}
