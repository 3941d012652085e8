package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/schollz/progressbar/v3"

	"github.com/anonymous-media-library/aml/config"
	"github.com/anonymous-media-library/aml/node/api"
)

// result prints v: as one line of JSON with --json, else in words by text.
func (a *app) result(v any, text func(io.Writer)) error {
	if a.json {
		return a.line(v)
	}
	var words bytes.Buffer
	text(&words)
	return a.write(words.Bytes())
}

// line prints one value as one line of JSON.
func (a *app) line(v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding output: %w", err)
	}
	return a.write(append(raw, '\n'))
}

func (a *app) write(b []byte) error {
	if _, err := a.out.Write(b); err != nil {
		return fmt.Errorf("writing output: %w", err)
	}
	return nil
}

// printer shows a request's events as lines of JSON or in words. The events of
// a stream are data; beside a result they go to standard error, as trouble does
// in words. Progress is shown in words alone, as a bar on a terminal.
type printer struct {
	app    *app
	stream bool
	mu     sync.Mutex // guards what follows; events of one request come one at a time
	bar    *progressbar.ProgressBar
	on     string // what the bar is about
	lost   error  // of the first event that standard output did not take
	cancel func() // ends the request then; may be nil
}

// stream is the printer of a command whose output is its events.
func (a *app) stream() *printer { return &printer{app: a, stream: true} }

// finite is the context of a request that comes to an end by itself: it ends
// when standard output takes no more, since nobody gets the rest. end releases
// it.
func (p *printer) finite(parent context.Context) (ctx context.Context, end func()) {
	ctx, cancel := context.WithCancel(parent)
	p.cancel = cancel
	return ctx, cancel
}

// beside is the printer of a command whose output is its result.
func (a *app) beside() *printer { return &printer{app: a} }

// event is what a client's verbs take.
func (p *printer) event(e api.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.Name == "progress" && !(p.app.json && p.app.progress) {
		p.progress(e)
		return
	}
	p.clear()
	trouble := e.Name == "error" || e.Name == "warning" || e.Name == "peer" || e.Name == "rotten" || e.Name == "store"
	w, data := p.app.err, p.stream && (p.app.json || !trouble)
	if data {
		w = p.app.out
	}
	text := string(e.Raw)
	if !p.app.json {
		text = words(e)
	}
	if text == "" || data && p.lost != nil {
		return
	}
	_, err := fmt.Fprintln(w, text)
	// What serves goes on without its lines; that there are none on standard
	// error cannot be said anywhere.
	if err != nil && data && !p.app.serving {
		p.lost = err
		if p.cancel != nil {
			p.cancel()
		}
	}
}

// unhurried hands events on in their order without ever holding up who tells
// them: when standard output is not read, up to 16,384 wait and later ones are
// lost. It is for what serves, which must not depend on somebody looking. The
// function it returns waits until all are out or ctx ends.
func unhurried(ctx context.Context, print func(api.Event)) (on func(api.Event), wait func()) {
	queue, done := make(chan api.Event, 1<<14), make(chan struct{})
	go func() {
		defer close(done)
		for e := range queue {
			print(e)
		}
	}()
	on = func(e api.Event) {
		e.Raw = bytes.Clone(e.Raw)
		select {
		case queue <- e:
		default:
		}
	}
	return on, func() {
		close(queue)
		select {
		case <-done:
		case <-ctx.Done():
		}
	}
}

// words says an event for people; empty if it is not worth a line.
func words(e api.Event) string {
	switch e.Name {
	case "listening":
		var v api.ListeningEvent
		if e.Decode(&v) == nil {
			return "listening as " + v.PeerID + "\n  " + strings.Join(append(v.Addrs, v.URLs...), "\n  ")
		}
	case "upload":
		var v api.UploadEvent
		if e.Decode(&v) == nil {
			return fmt.Sprintf("uploaded %s, %s, to %s", blobs(v.Blobs), config.FormatSize(v.Size), v.Peer)
		}
	case "peer":
		var v api.PeerEvent
		if e.Decode(&v) == nil {
			return fmt.Sprintf("peer %s is %s: %s", v.Peer, v.State, v.Message)
		}
	case "bridge":
		var v api.BridgeEvent
		if e.Decode(&v) == nil {
			return bridgeWords(v)
		}
	case "log":
		var v api.LogEvent
		if e.Decode(&v) == nil {
			return v.Line
		}
	case "late":
		var v api.LateEvent
		if e.Decode(&v) == nil {
			return v.Message
		}
	case "turn":
		var v api.TurnEvent
		if e.Decode(&v) == nil {
			word := v.Turn
			if word == "forked" {
				word = "FORKED"
			}
			return fmt.Sprintf("%s: %s: %s", v.Address, word, v.Message)
		}
	case "channel":
		var v api.ChannelEvent
		if e.Decode(&v) == nil {
			state := "not trusted; follow it with --trust " + v.Channel
			if v.Trusted {
				state = "following"
			}
			return fmt.Sprintf("channel %q on %s: %s (%s)", v.Title, v.Topic, v.Address, state)
		}
	case "manifest":
		var v api.ManifestEvent
		if e.Decode(&v) == nil {
			return fmt.Sprintf("release %d of %.12s: %s", v.Seq, v.Channel, quoted(v.Title, "(no title)"))
		}
	case "file":
		var v api.FileEvent
		if e.Decode(&v) == nil {
			return fmt.Sprintf("file %s (%s) sha256 %s", v.Path, config.FormatSize(int64(v.Size)), v.SHA256)
		}
	case "removed":
		var v api.RemovedEvent
		if e.Decode(&v) == nil {
			return strings.TrimSuffix("removed "+v.Path+": "+plain(v.Reason), ": ")
		}
	case "passed":
		var v api.PassedEvent
		if e.Decode(&v) == nil {
			what := v.Name
			if what == "" {
				what = "all of " + counted(v.Files, "file")
			}
			if v.Files == 0 { // of a private channel
				return fmt.Sprintf("left out release %d, unread: %s: %s", v.Seq, v.Reason, v.Message)
			}
			if v.Reason == "underway" {
				return fmt.Sprintf("put aside %s (%s): %s", what, config.FormatSize(int64(v.Bytes)), v.Message)
			}
			return fmt.Sprintf("left out %s (%s): %s: %s", what, config.FormatSize(int64(v.Bytes)), v.Reason, v.Message)
		}
	case "waiting":
		var v api.WaitingEvent
		if e.Decode(&v) == nil {
			return "waiting until " + v.Until.Time().Local().Format("Mon 15:04")
		}
	case "held":
		var v api.HeldEvent
		if e.Decode(&v) == nil {
			return fmt.Sprintf("held back, %.12s is %s: %s", v.Channel, v.Reason, v.Message)
		}
	case "kept":
		var v api.KeptEvent
		if e.Decode(&v) == nil {
			return "kept " + v.Path + ": " + v.Message
		}
	case "mirrored":
		var v api.MirroredEvent
		if e.Decode(&v) == nil {
			missing := ""
			if v.Missing > 0 {
				missing = fmt.Sprintf(", %d of them nobody has", v.Missing)
			}
			return fmt.Sprintf("mirrored release %d of %.12s, unread: %s%s", v.Seq, v.Channel, counted(v.Blobs, "blob"), missing)
		}
	case "mirror":
		var v api.MirrorEvent
		if e.Decode(&v) == nil {
			return mirrorWords(v)
		}
	case "copy":
		var v api.CopyEvent
		if e.Decode(&v) == nil {
			where := string(v.Class)
			if !strings.HasPrefix(v.Network, where) { // of public and local networks
				where += " " + v.Network
			}
			return fmt.Sprintf("copy at %s (%s): %s, %d of them proved", v.Peer, where, blobs(int64(v.Blobs)), v.Proved)
		}
	case "spreading":
		var v api.CopiesEvent
		if e.Decode(&v) == nil {
			return fmt.Sprintf("%d of %s have everything; %d have a part, up to %d %%", v.Have, counted(v.Wanted, "other"), v.Partly, v.Percent)
		}
	case "blob":
		var v api.BlobEvent
		if e.Decode(&v) == nil {
			state := ""
			if v.Pinned {
				state += "  pinned"
			}
			if v.InPlace {
				state += "  in place"
			}
			return fmt.Sprintf("%s  %8d%s", v.ID, v.Size, state)
		}
	case "rotten":
		var v api.RottenEvent
		if e.Decode(&v) == nil {
			what := orElse(v.Path, "blob "+v.ID.String())
			return what + ": " + v.Message
		}
	case "store":
		var v api.StoreEvent
		if e.Decode(&v) == nil {
			return strings.TrimSuffix("the store is "+v.State+": "+v.Message, ": ")
		}
	case "unsubscribed":
		return "unsubscribed by another command"
	case "error":
		var v api.ErrorEvent
		if e.Decode(&v) == nil {
			return "error: " + v.Message
		}
	case "warning":
		var v api.WarningEvent
		if e.Decode(&v) == nil {
			return "aml: " + v.Message
		}
	}
	return ""
}

func (p *printer) progress(e api.Event) {
	var v api.ProgressEvent
	if p.app.json || e.Decode(&v) != nil || !terminal(p.app.err) {
		return
	}
	if p.bar == nil || p.on != v.Name {
		p.clear()
		total := int64(v.Total)
		if total == 0 {
			total = -1
		}
		p.on = v.Name
		p.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(p.app.err),
			progressbar.OptionSetDescription(v.Name),
			progressbar.OptionShowBytes(true),
			progressbar.OptionUseIECUnits(true),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionUseANSICodes(os.Getenv("NO_COLOR") == ""),
		)
	}
	_ = p.bar.Set64(int64(v.Done))
}

// clear takes the bar off the terminal, so that a line can stand in its place.
func (p *printer) clear() {
	if p.bar != nil {
		_ = p.bar.Clear()
		p.bar = nil
	}
}

// done ends the output of a request and passes err on, unless that is but a
// consequence of output that was lost.
func (p *printer) done(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	if p.lost != nil {
		return fmt.Errorf("writing output: %w", p.lost)
	}
	return err
}

// terminal reports whether w is a character device.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// closing joins the error of closing c to err, so that a node which could not
// stop cleanly is heard of.
func closing(c *api.Client, err error) error { return errors.Join(err, c.Close()) }

// counted is a number with its noun: 1 file, 2 files; 1 copy, 2 copies.
func counted[N int | int64 | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if stem, ok := strings.CutSuffix(noun, "y"); ok && noun != "key" {
		noun = stem + "ie"
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
