// Package exec is a bundled plugin that runs commands of the operator's: one for
// each event, and one for each file before it is written.
//
// Nothing that came from a channel is ever a word of a command: events and files
// come on standard input, names in the environment.
package exec

import (
	"context"
	_ "embed" // plugin.yaml
	"errors"
	"fmt"
	"io"
	"log"
	"path/filepath"
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
	x := &runner{pause: time.Second}
	return sdk.Plugin{ID: "exec", Version: "1.0.0", Configure: x.configure, ScanContent: x.scan, Observe: x.observe}
}

type runner struct {
	event, file command.Command
	events      map[string]bool // nil: all
	deadline    time.Duration
	tries       int
	pause       time.Duration
	temp        string
}

func (x *runner) configure(_ context.Context, s sdk.Setup) (err error) {
	x.temp = filepath.Join(s.State, "tmp")
	if !s.Has(plugins.Processes) {
		return errors.New("it runs commands: grant the capability processes")
	}
	for key, into := range map[string]*command.Command{"event": &x.event, "file": &x.file} {
		if text := s.Config[key]; text != "" {
			if *into, err = command.Parse(text); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
		}
	}
	if x.event == nil && x.file == nil {
		return errors.New("there is nothing to run: set event or file")
	}
	if x.file != nil && !s.Has(plugins.Plaintext) {
		return errors.New("file: grant the capability plaintext, or unset it")
	}
	if x.deadline, err = time.ParseDuration(s.Config["deadline"]); err != nil || x.deadline <= 0 {
		return fmt.Errorf("deadline: %q is none", s.Config["deadline"])
	}
	if x.tries, err = strconv.Atoi(s.Config["tries"]); err != nil || x.tries < 1 {
		return fmt.Errorf("tries: %q is no number from 1 on", s.Config["tries"])
	}
	for name := range strings.SplitSeq(s.Config["events"], ",") {
		if name = strings.TrimSpace(name); name != "" {
			if x.events == nil {
				x.events = map[string]bool{}
			}
			x.events[name] = true
		}
	}
	return nil
}

// observe runs the command. One that fails every time is said and passed over: the
// next event is not to wait for ever.
func (x *runner) observe(ctx context.Context, e *sdk.Event) error {
	if x.event == nil || x.events != nil && !x.events[e.Event] {
		return nil
	}
	for try := 1; ; try++ {
		res, err := x.event.Run(ctx, x.deadline, strings.NewReader(e.Json+"\n"), x.temp, "AML_EVENT="+e.Event, "AML_CURSOR="+strconv.FormatUint(e.Cursor, 10))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil && res.Code == 0 {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("it ended with code %d: %s", res.Code, res.Output)
		}
		log.Printf("event %d (%s), try %d of %d: %v", e.Cursor, e.Event, try, x.tries, err)
		if try == x.tries {
			return nil
		}
		timer := time.NewTimer(x.pause << min(try, 6))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

func (x *runner) scan(ctx context.Context, s *sdk.ScanStart, content io.Reader) (*sdk.Verdict, error) {
	if x.file == nil {
		return sdk.Allow(), nil
	}
	e := s.GetEntry()
	// The host knows how long a file of this size may take.
	res, err := x.file.Run(ctx, 24*time.Hour, content, x.temp, "AML_CHANNEL="+s.GetChannel(), "AML_NAME="+e.GetName(), "AML_MEDIA_TYPE="+e.GetMediaType(), "AML_SIZE="+strconv.FormatUint(e.GetSize(), 10))
	switch {
	case err != nil:
		return nil, err
	case res.Code == 0:
		return sdk.Allow(), nil
	case res.Code == 1:
		return sdk.Deny(res.Output), nil
	case res.Code == 2:
		return sdk.Quarantine(res.Output), nil
	}
	return nil, fmt.Errorf("%s ended with code %d: %s", x.file[0], res.Code, res.Output)
}
