// Package scan is a bundled plugin that looks into files before they are written
// out: whether the content is what the release says, by the first bytes, and
// what a command of the operator's, such as clamdscan, says of it.
//
// Without a command it needs no more than plaintext. A command that fails gives
// no answer, and then the file is not written: the hook is closed.
package scan

import (
	"bytes"
	"context"
	_ "embed" // plugin.yaml
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/anonymous-media-library/aml/plugins"
	"github.com/anonymous-media-library/aml/plugins/command"
	"github.com/anonymous-media-library/aml/plugins/sdk"
)

//go:embed plugin.yaml
var manifest []byte

// Manifest is its plugin.yaml.
func Manifest() []byte { return manifest }

// New returns the plugin.
func New() sdk.Plugin {
	s := &scan{}
	return sdk.Plugin{ID: "scan", Version: "1.0.0", Configure: s.configure, ScanContent: s.scan}
}

type scan struct {
	types   string
	command command.Command
	refuse  []int
	temp    string
}

func (s *scan) configure(_ context.Context, set sdk.Setup) (err error) {
	s.types, s.temp = set.Config["types"], filepath.Join(set.State, "tmp")
	if !slices.Contains([]string{"deny", "quarantine", "allow"}, s.types) {
		return fmt.Errorf("types: %q is none; want deny, quarantine or allow", s.types)
	}
	for text := range strings.SplitSeq(set.Config["refuse"], ",") {
		code, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || code < 1 || code > 255 {
			return fmt.Errorf("refuse: %q is no exit code", text)
		}
		s.refuse = append(s.refuse, code)
	}
	if set.Config["command"] == "" {
		return nil
	}
	if !set.Has(plugins.Processes) {
		return errors.New("command: grant the capability processes, or unset it")
	}
	s.command, err = command.Parse(set.Config["command"])
	return err
}

func (s *scan) scan(ctx context.Context, start *sdk.ScanStart, content io.Reader) (*sdk.Verdict, error) {
	head := make([]byte, headSize)
	n, err := io.ReadFull(content, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	head = head[:n]
	if why := mismatch(start.GetEntry().GetName(), start.GetEntry().GetMediaType(), head); why != "" {
		switch s.types {
		case "deny":
			return sdk.Deny(why), nil
		case "quarantine":
			return sdk.Quarantine(why), nil
		}
	}
	if s.command == nil {
		return sdk.Allow(), nil
	}
	// The host knows how long a file of this size may take.
	res, err := s.command.Run(ctx, 24*time.Hour, io.MultiReader(bytes.NewReader(head), content), s.temp)
	switch {
	case err != nil:
		return nil, err
	case res.Code == 0:
		return sdk.Allow(), nil
	case slices.Contains(s.refuse, res.Code):
		return sdk.Deny(strings.TrimSpace(s.command[0] + ": " + res.Output)), nil
	}
	return nil, fmt.Errorf("%s ended with code %d: %s", s.command[0], res.Code, res.Output)
}
