package plugins

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// How much plugins.lock may hold.
const (
	MaxLock   = 16 << 20 // bytes
	MaxFiles  = 4096     // of one plugin
	maxConfig = 64 << 10 // bytes of a value
)

// Sum is the SHA-256 of a file of a plugin.
type Sum [sha256.Size]byte

// MarshalText writes it as hex.
func (s Sum) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(s[:])), nil }

// UnmarshalText reads lower-case hex.
func (s *Sum) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(s)) || !bytes.Equal(text, bytes.ToLower(text)) {
		return fmt.Errorf("%q is no SHA-256", text)
	}
	_, err := hex.Decode(s[:], text)
	return err
}

func (s Sum) String() string { return hex.EncodeToString(s[:]) }

// Lock is plugins.lock: which plugins there are, what each of their files has to
// be, and what the operator has decided about them.
type Lock struct {
	Format  int         `json:"format"` // 1
	Plugins []Installed `json:"plugins"`
}

// Installed is one plugin that is there.
type Installed struct {
	ID        string         `json:"id"`
	Version   string         `json:"version"`
	Source    string         `json:"source"` // where it came from
	Installed time.Time      `json:"installed"`
	Bundled   bool           `json:"bundled,omitempty"` // it is a part of aml itself, and has no folder
	Files     map[string]Sum `json:"files"`             // of its folder, by slash path; plugin.yaml and each platform's binary are among them

	Enabled  bool              `json:"enabled"`
	Asked    []Capability      `json:"asked,omitempty"` // what it declared when that was decided
	Granted  []Capability      `json:"granted,omitempty"`
	Paths    []string          `json:"paths,omitempty"` // that Files opens; without any, all
	Priority *int              `json:"priority,omitempty"`
	Memory   int64             `json:"memory,omitempty"` // bytes; 0: what plugin.yaml asks for
	State    int64             `json:"state,omitempty"`  // bytes that it may keep; 0: DefaultState
	Config   map[string]string `json:"config,omitempty"`

	Off *Broken `json:"off,omitempty"` // it failed too often
}

// Broken says why and when a plugin was turned off by its failures.
type Broken struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

// ManifestFile is the name of a plugin's manifest in its folder.
const ManifestFile = "plugin.yaml"

// ParseLock reads plugins.lock. Errors wrap ErrLock.
func ParseLock(text []byte) (Lock, error) {
	var l Lock
	if len(text) > MaxLock {
		return Lock{}, fmt.Errorf("%w: it has %d bytes", ErrLock, len(text))
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return Lock{}, fmt.Errorf("%w: %w", ErrLock, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Lock{}, fmt.Errorf("%w: something follows it", ErrLock)
	}
	if err := l.validate(); err != nil {
		return Lock{}, fmt.Errorf("%w: %w", ErrLock, err)
	}
	return l, nil
}

// EncodeLock writes plugins.lock, plugins ascending by id.
func EncodeLock(l Lock) ([]byte, error) {
	l.Format, l.Plugins = 1, slices.Clone(l.Plugins)
	slices.SortFunc(l.Plugins, func(a, b Installed) int { return cmp.Compare(a.ID, b.ID) })
	if err := l.validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLock, err)
	}
	text, err := json.MarshalIndent(l, "", "  ")
	return append(text, '\n'), err
}

func (l Lock) validate() error {
	if l.Format != 1 {
		return fmt.Errorf("format %d, this version of aml reads 1", l.Format)
	}
	for i, p := range l.Plugins {
		if !ValidID(p.ID) {
			return fmt.Errorf("%q is no id", p.ID)
		}
		if i > 0 && l.Plugins[i-1].ID >= p.ID {
			return fmt.Errorf("%q does not come after %q", p.ID, l.Plugins[i-1].ID)
		}
		if err := p.validate(); err != nil {
			return fmt.Errorf("%s: %w", p.ID, err)
		}
	}
	return nil
}

func (p Installed) validate() error {
	if !versionForm.MatchString(p.Version) || len(p.Version) > 64 {
		return fmt.Errorf("%q is no version", p.Version)
	}
	if len(p.Files) > MaxFiles {
		return fmt.Errorf("%d files, at most %d are allowed", len(p.Files), MaxFiles)
	}
	if _, ok := p.Files[ManifestFile]; !ok {
		return fmt.Errorf("no %s among its files", ManifestFile)
	}
	for name := range p.Files {
		if err := inside(name); err != nil {
			return err
		}
	}
	for _, c := range slices.Concat(p.Asked, p.Granted) {
		if c.Proto() == 0 {
			return fmt.Errorf("%q is no capability", c)
		}
	}
	for _, dir := range p.Paths {
		if dir == "" {
			return errors.New("an empty path")
		}
	}
	for key, value := range p.Config {
		if !keyForm.MatchString(key) || len(value) > maxConfig {
			return fmt.Errorf("setting %q: no key, or a value of over %d bytes", key, maxConfig)
		}
	}
	if p.Memory < 0 || p.Memory > MaxMemory {
		return fmt.Errorf("memory %d", p.Memory)
	}
	if p.State < 0 {
		return fmt.Errorf("state %d", p.State)
	}
	return nil
}

// DefaultState is how many bytes a plugin may keep in its folder unless the operator
// says something else.
const DefaultState = 4 << 30

// StateLimit is how many bytes the plugin may keep in its folder.
func (p Installed) StateLimit() int64 { return cmp.Or(p.State, DefaultState) }

// Has reports whether the operator has granted a capability.
func (p Installed) Has(c Capability) bool { return slices.Contains(p.Granted, c) }

// Missing returns what of the capabilities that a plugin declares is not
// granted.
func (p Installed) Missing(m Manifest) (out []Capability) {
	for _, c := range m.Capabilities {
		if !p.Has(c) {
			out = append(out, c)
		}
	}
	return out
}

// Without returns what of the capabilities that a hook needs is not granted.
func (p Installed) Without(h Hook) (out []Capability) {
	rule, _ := RuleOf(h)
	for _, c := range rule.Needs {
		if !p.Has(c) {
			out = append(out, c)
		}
	}
	return out
}

// HowToEnable is the command that lets a plugin run with a hook, and with what else
// it was granted.
func (p Installed) HowToEnable(m Manifest, h Hook) string {
	text, needs := "aml plugin-enable "+p.ID, p.Without(h)
	for i, c := range needs {
		if i == 0 {
			text += " --grant "
		} else {
			text += ","
		}
		text += string(c)
	}
	if len(p.Missing(m)) > len(needs) {
		text += " --partial"
	}
	return text
}
