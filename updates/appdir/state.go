package appdir

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/anonymous-media-library/aml/internal/wholefile"
	"github.com/anonymous-media-library/aml/updates"
)

// State is what .aml/state.json holds.
type State struct {
	Format       int       `json:"format"`       // 1
	Installation ID        `json:"installation"` // decides when a rollout comes here; told to nobody
	Channel      string    `json:"channel,omitempty"`
	Version      string    `json:"version,omitempty"`   // that is installed and works
	Previous     string    `json:"previous,omitempty"`  // that was before, and is kept
	Refused      []Refused `json:"refused,omitempty"`   // the newest last, at most 64
	Switching    *Switch   `json:"switching,omitempty"` // under way
}

// Switch is from one version to another.
type Switch struct {
	From string `json:"from"` // empty for none
	To   string `json:"to"`
}

// Refused is a version that did not pass its health command here.
type Refused struct {
	Version string `json:"version"`
	Why     string `json:"why"`
}

// ID names an installation: 16 random bytes.
type ID [16]byte

// MarshalText writes hex.
func (id ID) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(id[:])), nil }

// UnmarshalText reads hex.
func (id *ID) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(id) {
		return fmt.Errorf("id %q: want %d hex digits", text, 2*len(id))
	}
	_, err := hex.Decode(id[:], text)
	return err
}

// From returns ErrOther if what is installed comes from another channel.
func (s State) From(channel string) error {
	if s.Channel != "" && s.Channel != channel {
		return fmt.Errorf("application in this folder: %w: %s, not %s", ErrOther, s.Channel, channel)
	}
	return nil
}

const (
	stateFormat = 1
	maxState    = 1 << 20
	maxRefused  = 64
	maxWhy      = 1024
)

func (s *State) refuse(version, why string) {
	s.Refused = slices.DeleteFunc(s.Refused, func(r Refused) bool { return r.Version == version })
	s.Refused = append(s.Refused, Refused{version, why[:min(len(why), maxWhy)]})
	s.Refused = s.Refused[max(0, len(s.Refused)-maxRefused):]
}

// read returns the folder's state, which may never have been written.
func (d *Dir) read() (State, error) {
	s := State{Format: stateFormat}
	text, err := wholefile.Read(d.at(stateName), maxState)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	if err := parseState(text, &s); err != nil {
		return s, fmt.Errorf("%w: %s: %w; restore it, or install into another folder", ErrState, d.at(stateName), err)
	}
	return s, nil
}

func parseState(text []byte, s *State) error {
	r := json.NewDecoder(bytes.NewReader(text))
	r.DisallowUnknownFields()
	if err := r.Decode(s); err != nil {
		return err
	}
	if _, err := r.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one document")
	}
	if s.Format != stateFormat {
		return fmt.Errorf("format %d, this program knows %d", s.Format, stateFormat)
	}
	versions := []string{s.Version, s.Previous}
	if s.Switching != nil {
		versions = append(versions, s.Switching.From)
		if err := updates.CheckVersion(s.Switching.To); err != nil {
			return err
		}
	}
	for _, v := range versions {
		if v == "" {
			continue
		}
		if err := updates.CheckVersion(v); err != nil {
			return err
		}
	}
	return nil
}

// save writes the state so that it is there after a power loss, whole or as before.
func (d *Dir) save() error {
	text, err := json.MarshalIndent(d.state, "", "  ")
	if err == nil {
		err = wholefile.Replace(d.at(stateName), append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("writing the state: %w", err)
	}
	return nil
}
