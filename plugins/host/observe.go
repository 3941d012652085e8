package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/anonymous-media-library/aml/internal/disk"
	"github.com/anonymous-media-library/aml/plugins"
	"github.com/anonymous-media-library/aml/plugins/child"
	pluginv1 "github.com/anonymous-media-library/aml/plugins/proto/aml/plugin/v1"
)

const (
	observeWindow = 256 // events that may be on their way
	observePage   = 64
)

// Observed tells those who observe of an event. It never blocks.
func (h *Host) Observed(name string, event any) {
	if h.cfg.Journal != nil && h.Has(plugins.Observe) {
		h.cfg.Journal.Add(name, event)
	}
}

// How long an event that a plugin could not deal with, or a cursor that could not
// be written, is left alone: twice as long each time.
const (
	minObservePause = time.Second
	maxObservePause = time.Minute
)

// observe feeds a process with events until it ends. What it has said by then
// counts, so that this does not end before. An error of its function means that the
// event comes again, after a pause; one by which it breaks the rules ends it.
func (m *member) observe(ctx context.Context, c *child.Child) {
	for pause := minObservePause; ; pause = min(2*pause, maxObservePause) {
		moved, err := m.feed(context.WithoutCancel(ctx), c)
		if ctx.Err() != nil || err == nil {
			return
		}
		m.count(plugins.Observe, 0, err)
		m.mu.Lock()
		broken, log := m.broken, m.log
		m.mu.Unlock()
		if fault := observeFault(err); fault != nil {
			select {
			case broken <- fault:
			default:
			}
			return
		}
		if moved {
			pause = minObservePause
		}
		select { // an error of a process that has ended is none of its function
		case <-c.Done():
			return
		default:
		}
		if code := status.Code(err); code != codes.Unavailable && code != codes.Canceled { // else it is ending
			log.Printf("Observe: %s: the event comes again after %v", child.Said(err), pause)
			m.h.cfg.Log.Warn("an event comes again", "plugin", m.plugin.ID, "error", child.Said(err), "after", pause)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-c.Done():
			timer.Stop()
			return
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// observeFault is an error of feed by which the process has broken the rules.
func observeFault(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: Observe: it wants no more events", plugins.ErrFailed)
	case errors.Is(err, plugins.ErrFailed):
		return err
	}
	if err := transportFault(err); err != nil {
		return fmt.Errorf("hook Observe: %w", err)
	}
	return nil
}

// feed reports whether the process has dealt with anything.
func (m *member) feed(ctx context.Context, c *child.Child) (moved bool, err error) {
	journal, file := m.h.cfg.Journal, m.h.cfg.Shelf.CursorFile(m.plugin.ID)
	cursor, err := readCursor(file)
	unsaved := false
	if errors.Is(err, fs.ErrNotExist) { // it begins with what happens from now on
		if cursor, err = journal.Last(ctx); err == nil && journal.opened() != nil { // else there is no room for it either
			if err = writeCursor(file, cursor); exhausted(err) {
				err, unsaved = nil, true
			}
		}
	}
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := pluginv1.NewObserverClient(c.Conn()).Observe(ctx)
	if err != nil {
		return false, err
	}
	begin := cursor
	var done, sent atomic.Uint64
	done.Store(cursor)
	sent.Store(cursor)
	acked, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() { // ends with the stream, which ends with ctx
		for {
			res, err := stream.Recv()
			if err == nil && (res.Cursor < done.Load() || res.Cursor > sent.Load()) {
				err = fmt.Errorf("%w: it has dealt with event %d, which it has not got", plugins.ErrFailed, res.Cursor)
			}
			if err != nil {
				ended <- err
				return
			}
			done.Store(res.Cursor)
			select {
			case acked <- struct{}{}:
			default:
			}
		}
	}()
	saved := cursor
	save := func() error {
		now := done.Load()
		if now == saved && !unsaved {
			return nil
		}
		err := writeCursor(file, now)
		if exhausted(err) { // it observes on: at worst, if it ends meanwhile, events come again
			if !unsaved {
				m.log.Printf("how far it has observed is not kept for now: %v", err)
			}
			unsaved = true
			return nil
		}
		saved, unsaved = now, false
		return err
	}
	defer func() {
		_ = save() // or it gets some again
		moved = saved > begin
	}()
	for {
		news := journal.more()
		events, err := journal.After(ctx, cursor, observePage)
		if err != nil {
			return false, err
		}
		for _, e := range events {
			msg := &pluginv1.ObserveRequest{Cursor: e.Cursor, Time: e.Time, Event: e.Event, Json: e.JSON}
			if cursor > 0 {
				msg.Missed = e.Cursor - cursor - 1 // they were deleted, as it was away for long
			}
			sent.Store(e.Cursor)
			if err := stream.Send(msg); err != nil {
				return false, <-ended // says why
			}
			cursor = e.Cursor
			m.count(plugins.Observe, 0, nil)
		}
		for len(events) == 0 || cursor-done.Load() > observeWindow {
			if err := save(); err != nil {
				return false, err
			}
			select {
			case <-news:
			case <-acked:
				if cursor-done.Load() > observeWindow || len(events) == 0 {
					continue
				}
			case err := <-ended:
				return false, err
			}
			if cursor-done.Load() <= observeWindow {
				break
			}
			news = nil // only an answer helps now
		}
	}
}

func readCursor(file string) (uint64, error) {
	if err := disk.Regular(file); err != nil {
		return 0, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 63)
	if err != nil {
		return 0, fmt.Errorf("cursor %s: %w", file, err)
	}
	return n, nil
}

// writeCursor replaces the file whole. It need not survive a power loss: an older
// cursor means that events come again.
func writeCursor(file string, cursor uint64) error {
	temp := filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+strconv.FormatInt(time.Now().UnixNano(), 36))
	if err := os.WriteFile(temp, []byte(strconv.FormatUint(cursor, 10)+"\n"), 0o600); err != nil {
		_ = os.Remove(temp)
		return err
	}
	if err := os.Rename(temp, file); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return nil
}
