package natsbridge

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

// refusals are what the server says that this user may not do. It says so beside the
// calls, which only see that nobody answers.
type refusals struct {
	mu  sync.Mutex
	all []error
}

const maxRefusals = 32

// heard notes them on their way to tell.
func (r *refusals) heard(tell func(Event)) func(Event) {
	return func(e Event) {
		if errors.Is(e.Err, ErrRights) || errors.Is(e.Err, ErrInbox) {
			r.mu.Lock()
			if len(r.all) < maxRefusals {
				r.all = append(r.all, e.Err)
			}
			r.mu.Unlock()
		}
		tell(e)
	}
}

// why is the error of a call about a stream; where nobody answered, what the server has
// refused of it.
func (c *Conn) why(err error) error {
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, nats.ErrTimeout) {
		return err
	}
	c.wrong.mu.Lock()
	defer c.wrong.mu.Unlock()
	for _, is := range c.wrong.all {
		if errors.Is(is, ErrInbox) {
			return is
		}
		if name := subjectIn(is.Error()); strings.HasPrefix(name, "$JS.API.") && strings.Contains(err.Error(), name[strings.LastIndexByte(name, '.')+1:]+":") {
			return is
		}
	}
	return err
}

// subjectIn is the first quoted word of a text.
func subjectIn(text string) string {
	_, rest, _ := strings.Cut(text, `"`)
	name, _, ok := strings.Cut(rest, `"`)
	if !ok {
		return ""
	}
	return name
}

var ownPort = regexp.MustCompile(`[^ ]+:[0-9]+->`)

// withoutPort is a text about a connection without this end of it, which is another one
// each time.
func withoutPort(text string) string { return ownPort.ReplaceAllString(text, "->") }
