package natsbridge

import (
	"fmt"

	"github.com/nats-io/nats.go"
	"golang.org/x/time/rate"

	"github.com/anonymous-media-library/aml/channel"
)

// What the members of a group say beyond this is dropped unread.
const (
	groupQueue = 256
	groupRate  = 100 // a second
	groupBurst = 500
)

// ValidGroup says what is wrong with the name of a group: 1 to 32 of a-z, 0-9, -
// and _.
func ValidGroup(s string) error {
	if !validToken(s, 32) {
		return wrong("group %.40q: want 1 to 32 of a-z, 0-9, - and _", s)
	}
	return nil
}

// Group is what members say to one another on group.<name>. No stream has it: what
// is missed is said again.
type Group struct {
	c       *Conn
	subject string
	in      chan *nats.Msg
	sub     *nats.Subscription
}

// Group listens to a group, until it is closed.
func (c *Conn) Group(name string) (*Group, error) {
	if err := ValidGroup(name); err != nil {
		return nil, err
	}
	g := &Group{c: c, subject: c.names.prefix + kindGroup + "." + name, in: make(chan *nats.Msg, groupQueue)}
	var err error
	if g.sub, err = c.nc.ChanSubscribe(g.subject, g.in); err != nil {
		return nil, explain(fmt.Errorf("listening to the group %s: %w", name, err))
	}
	return g, nil
}

// Say tells all other members that are connected.
func (g *Group) Say(data []byte) error {
	if len(data) > MaxMessage {
		return fmt.Errorf("message of %d bytes to a group: %w", len(data), channel.ErrTooLarge)
	}
	if err := g.c.nc.Publish(g.subject, data); err != nil {
		return explain(fmt.Errorf("telling the group: %w", err))
	}
	return nil
}

// Hear calls do with what others say, one after the other, until done is closed.
// Anybody with rights on the subject may have said it.
func (g *Group) Hear(done <-chan struct{}, do func(data []byte)) {
	limit := rate.NewLimiter(groupRate, groupBurst)
	for {
		select {
		case <-done:
			return
		case m := <-g.in:
			if len(m.Data) <= MaxMessage && limit.Allow() {
				do(m.Data)
			}
		}
	}
}

// Close ends the listening.
func (g *Group) Close() { _ = g.sub.Unsubscribe() }
