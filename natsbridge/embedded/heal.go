package embedded

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	firstLook = time.Second // after it could not write
	mostLook  = 30 * time.Second
	enough    = 256 << 10 // bytes that have to fit before it is started anew
)

// listener hears what a server says. There is no log: it looks for that the server
// could not write, which JetStream keeps for ever, and of which clients only see
// that nothing is confirmed.
type listener struct {
	e *Server
	s *server.Server
}

func (listener) Noticef(string, ...any) {}
func (listener) Warnf(string, ...any)   {}
func (listener) Debugf(string, ...any)  {}
func (listener) Tracef(string, ...any)  {}

func (l listener) Fatalf(format string, v ...any) { l.Errorf(format, v...) }

// Errorf is called under locks of the server, so it must do little.
func (l listener) Errorf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	for _, bad := range []string{"critical write error", "failed to store a msg", "jetstream out of", "disabling jetstream"} {
		if !strings.Contains(strings.ToLower(text), bad) {
			continue
		}
		var why error = fmt.Errorf("%.300s", text)
		for _, a := range v {
			if err, ok := a.(error); ok {
				why = err
			}
		}
		l.e.breaks(l.s, why)
		return
	}
}

// breaks notes that a server cannot write, unless it is one of before.
func (e *Server) breaks(s *server.Server, why error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s != e.s {
		return
	}
	e.trouble = e.names(why)
	select {
	case e.broken <- struct{}{}:
	default:
	}
}

func (e *Server) names(why error) error {
	return fmt.Errorf("the built-in NATS server cannot write to %s: %w; free the disk, and it goes on by itself: nothing is lost", e.cfg.Dir, why)
}

// Trouble says what keeps it from storing, and what to do; nil if nothing.
func (e *Server) Trouble() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.trouble
}

func (e *Server) troubled(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.trouble = err
}

// tend starts a server anew that could not write, as soon as there is room.
func (e *Server) tend() {
	defer close(e.ended)
	for {
		select {
		case <-e.ending:
			return
		case <-e.broken:
		}
		for pause := firstLook; ; pause = min(2*pause, mostLook) {
			select {
			case <-e.ending:
				return
			case <-time.After(pause):
			}
			if err := e.anew(); err != nil {
				e.troubled(err)
				continue
			}
			break
		}
	}
}

// anew ends the server and starts it again, if there is room.
func (e *Server) anew() error {
	if err := e.room(e.cfg.Dir); err != nil {
		return e.names(err)
	}
	old := e.now()
	old.Shutdown()
	old.WaitForShutdown()
	select {
	case <-e.broken: // of the old one
	default:
	}
	if err := e.begin(); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.broken) == 0 { // else it is so again
		e.trouble = nil
	}
	return nil
}

// room tries whether something can be written.
func room(dir string) error {
	f, err := os.CreateTemp(dir, ".room-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(bytes.Repeat([]byte{1}, enough))
	if err == nil {
		err = f.Sync()
	}
	if end := f.Close(); err == nil {
		err = end
	}
	return err
}
