package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/anonymous-media-library/aml/plugins"
	"github.com/anonymous-media-library/aml/plugins/child"
)

const (
	// maxStrikes is how many quick answers in a row may come too late before the
	// process counts as hung.
	maxStrikes = 3
	// patient is the deadline from which on one that is missed is enough.
	patient = 5 * time.Second
)

// Stats counts the calls of one hook.
type Stats struct {
	Calls    int64         `json:"calls"`
	Errors   int64         `json:"errors"`   // of which these gave no answer
	Timeouts int64         `json:"timeouts"` // of which these were too late
	Time     time.Duration `json:"time"`     // spent in sum
}

// acquire returns the running process, which is started if nobody has asked yet.
func (m *member) acquire(ctx context.Context) (*child.Child, chan error, error) {
	for {
		m.mu.Lock()
		state, changed, c, broken, why := m.state, m.changed, m.child, m.broken, m.why
		m.mu.Unlock()
		switch state {
		case Ready:
			return c, broken, nil
		case Off, Waiting:
			return nil, nil, why
		case Idle:
			select {
			case m.wake <- struct{}{}:
			default: // somebody else does
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		}
	}
}

// errLate: the deadline of a hook has passed.
var errLate = fmt.Errorf("%w: no answer in time", plugins.ErrFailed)

// call makes one call of a hook. Its errors wrap plugins.ErrFailed or ErrOff,
// unless ctx has ended. extra is added to the deadline.
func (m *member) call(ctx context.Context, hook plugins.Hook, extra time.Duration, do func(context.Context, grpc.ClientConnInterface) error) error {
	rule, _ := plugins.RuleOf(hook)
	c, broken, err := m.acquire(ctx)
	if err != nil {
		m.count(hook, 0, err)
		return fmt.Errorf("plugin %s: %w", m.plugin.ID, err)
	}
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	deadline := m.h.cfg.Deadline(rule)
	if deadline > 0 && !rule.Idle {
		timer := time.AfterFunc(deadline+extra, func() { cancel(errLate) })
		defer timer.Stop()
	}
	began := time.Now()
	err = do(inner, c.Conn())
	late := context.Cause(inner) == errLate
	if ctx.Err() != nil && !late {
		return context.Cause(ctx) // nobody waits for it any more
	}
	if err != nil && late {
		err = errLate
	}
	m.count(hook, time.Since(began), err)
	if fault := m.blame(err, deadline); fault != nil {
		select {
		case broken <- fault:
		default: // it is being ended already
		}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, plugins.ErrFailed):
		return fmt.Errorf("plugin %s, %s: %w", m.plugin.ID, hook, err)
	}
	return fmt.Errorf("plugin %s, %s: %w: %s", m.plugin.ID, hook, plugins.ErrFailed, child.Said(err))
}

// blame says whether the process has to be started again for this error.
func (m *member) blame(err error, deadline time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		m.strikes = 0
		return nil
	}
	switch {
	case errors.Is(err, errLate):
		if m.strikes++; m.strikes < maxStrikes && deadline < patient {
			return nil
		}
		return err
	case errors.Is(err, plugins.ErrFailed):
		return err // an answer that is none
	}
	return transportFault(err) // else it says itself that it cannot, or has ended, which life sees
}

// transportWords are what grpc-go says in its own name of an answer that broke the
// rules.
var transportWords = []string{
	"grpc: ", "transport: ", "RST_STREAM", "without sending trailers", "header list size", "HEADERS frame", "cardinality violation",
	"malformed", "exceeding the limit", "unexpected content-type", "unexpected HTTP status", "larger than max",
}

// transportFault is an error by which an answer broke the rules of gRPC, nil for a
// status that a function of the plugin has given: nothing but the words tells them
// apart. A hook that is not there at all is no answer either.
func transportFault(err error) error {
	said := status.Convert(err)
	switch said.Code() {
	case codes.Unimplemented:
	case codes.ResourceExhausted, codes.Internal:
		if !slices.ContainsFunc(transportWords, func(w string) bool { return strings.Contains(said.Message(), w) }) {
			return nil
		}
	default:
		return nil
	}
	return fmt.Errorf("%w: %s", plugins.ErrFailed, child.Said(err))
}

func (m *member) count(hook plugins.Hook, took time.Duration, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.stats[hook]
	if s == nil {
		s = &Stats{}
		m.stats[hook] = s
	}
	s.Calls++
	s.Time += took
	if err != nil {
		s.Errors++
	}
	if errors.Is(err, errLate) {
		s.Timeouts++
	}
}

// idle ends a stream on which nothing moves. Call touch for every message.
func (m *member) idle(ctx context.Context, hook plugins.Hook) (_ context.Context, touch func(), stop func()) {
	ctx, touch, _, stop = m.idling(ctx, hook)
	return ctx, touch, stop
}

// idling is idle of which hold stops the clock until touch.
func (m *member) idling(ctx context.Context, hook plugins.Hook) (_ context.Context, touch, hold, stop func()) {
	rule, _ := plugins.RuleOf(hook)
	d := m.h.cfg.Deadline(rule)
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(d, func() { cancel(errLate) })
	return ctx, func() { timer.Reset(d) }, func() { timer.Stop() }, func() {
		timer.Stop()
		cancel(nil)
	}
}

// Status is what a plugin does at the moment.
type Status struct {
	ID       string                 `json:"id"`
	State    State                  `json:"state"`
	PID      int                    `json:"pid,omitempty"`
	Starts   int                    `json:"starts"`
	Failures int                    `json:"failures"` // within the last hour
	Reason   string                 `json:"reason,omitempty"`
	Hooks    map[plugins.Hook]Stats `json:"hooks,omitempty"`
	Observed uint64                 `json:"observed,omitempty"` // cursor
	Kept     int64                  `json:"kept,omitempty"`     // bytes in its folder, when that was last looked at
}

// Status returns all enabled plugins, in the order in which they are asked.
func (h *Host) Status() []Status {
	h.mu.Lock()
	members := h.members
	h.mu.Unlock()
	out := make([]Status, len(members))
	for i, m := range members {
		out[i] = m.status()
	}
	return out
}

func (m *member) status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := Status{ID: m.plugin.ID, State: m.state, Starts: m.starts, Kept: m.kept, Hooks: map[plugins.Hook]Stats{}}
	if m.child != nil {
		s.PID = m.child.PID()
	}
	if m.why != nil {
		s.Reason = child.Said(m.why)
	}
	for _, t := range m.failures {
		if m.now().Sub(t) <= m.h.cfg.FailureWindow {
			s.Failures++
		}
	}
	for hook, stats := range m.stats {
		s.Hooks[hook] = *stats
	}
	if m.plugin.Manifest.Has(plugins.Observe) && m.h.cfg.Journal != nil {
		s.Observed, _ = readCursor(m.h.cfg.Shelf.CursorFile(m.plugin.ID))
	}
	return s
}
