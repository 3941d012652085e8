// Package limit decides when bytes may be moved, so that transfers stay within
// rates that the user set, and so that peers share a full uplink fairly.
//
// It is for package node, which hands an Upload to the exchange and a Download
// to the scheduler of fetches; both declare the one method that they need. It
// must never move or look at a byte, never start a goroutine that outlives a
// call, and never slow down reading: what is not to be downloaded is not asked
// for. docs/limits.md says what users see.
package limit

import (
	"errors"
	"fmt"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Unlimited, in Hours, lifts a limit for as long as they hold.
const Unlimited = -1

// Config says what rates hold, in bytes per second. Zero, or less, is no limit.
type Config struct {
	Total   int64 // all peers together
	PerPeer int64 // each peer

	// Class are the limits of the classes, which count against Total too.
	// Only a Download knows classes: who asks for a blob tells nobody why.
	Class [blobnet.Classes]int64

	// Schedule changes limits at certain hours. Where several hold, the
	// first one counts.
	Schedule []Hours
}

// Days is a set of weekdays: bit 1<<time.Sunday is Sunday.
type Days uint8

// EveryDay is the set of all of them.
const EveryDay Days = 1<<7 - 1

// Has reports whether d is in the set. The empty set is every day.
func (s Days) Has(d time.Weekday) bool { return s == 0 || s&(1<<d) != 0 }

// minutesOfDay is what Hours are counted in.
const minutesOfDay = 24 * 60

// Hours are a part of the day, and the rates that hold then. They go by what
// the clock on the wall shows: an hour that daylight saving time skips does not
// come, one that it repeats comes twice.
type Hours struct {
	// Days on which the hours begin. Zero is every day. Where the hours go
	// beyond midnight, the rest belongs to the day before.
	Days Days

	// From and To are minutes since 0:00; To itself is outside. If To is not
	// after From, the hours go beyond midnight, and if both are equal they
	// last 24 h.
	From, To int

	// Zone is where the clock hangs. If nil, time.Local.
	Zone *time.Location

	// What holds then, in bytes per second. If zero, what holds at other
	// hours; Unlimited is no limit.
	Total, PerPeer int64
	Class          [blobnet.Classes]int64
}

// Validate reports rates below zero, and hours that no day has. Upload and
// Download take what does not pass, too: such a rate is no limit, and such hours
// never hold.
func (c Config) Validate() error {
	bad := c.Total < 0 || c.PerPeer < 0
	for _, r := range c.Class {
		bad = bad || r < 0
	}
	for i, h := range c.Schedule {
		if !h.valid() {
			return fmt.Errorf("limit: hours %d of the schedule: want minutes from 0 to %d, got %d to %d", i, minutesOfDay, h.From, h.To)
		}
		bad = bad || h.Total < Unlimited || h.PerPeer < Unlimited
		for _, r := range h.Class {
			bad = bad || r < Unlimited
		}
	}
	if bad {
		return errors.New("limit: rate below zero")
	}
	return nil
}

func (h Hours) valid() bool {
	return h.From >= 0 && h.From < minutesOfDay && h.To >= 0 && h.To <= minutesOfDay && h.Days <= EveryDay
}

// hold reports whether the hours hold at t.
func (h Hours) hold(t time.Time) bool {
	if !h.valid() {
		return false
	}
	zone := h.Zone
	if zone == nil {
		zone = time.Local
	}
	t = t.In(zone)
	minute, today := t.Hour()*60+t.Minute(), t.Weekday()
	yesterday := (today + 6) % 7
	if h.From < h.To {
		return h.Days.Has(today) && minute >= h.From && minute < h.To
	}
	return h.Days.Has(today) && minute >= h.From || h.Days.Has(yesterday) && minute < h.To
}

// Rates are limits in bytes per second at one moment. Zero is no limit.
type Rates struct {
	Total, PerPeer int64
	Class          [blobnet.Classes]int64
}

// At returns what holds at t.
func (c Config) At(t time.Time) Rates {
	r := Rates{Total: c.Total, PerPeer: c.PerPeer, Class: c.Class}
	for _, h := range c.Schedule {
		if !h.hold(t) {
			continue
		}
		override(&r.Total, h.Total)
		override(&r.PerPeer, h.PerPeer)
		for i := range r.Class {
			override(&r.Class[i], h.Class[i])
		}
		break
	}
	r.Total, r.PerPeer = max(r.Total, 0), max(r.PerPeer, 0)
	for i := range r.Class {
		r.Class[i] = max(r.Class[i], 0)
	}
	return r
}

func override(rate *int64, by int64) {
	if by != 0 {
		*rate = by
	}
}

// recheck is how often the schedule is looked at, and so how long a limit
// holds on beyond its hours, or after the clock was set.
const recheck = time.Second

// current is a Config, and what of it holds now. Its owner locks.
type current struct {
	cfg   Config
	rates Rates
	at    time.Time                 // rates were found then; only its monotonic part is used
	wall  func(time.Time) time.Time // what the clock on the wall shows; tests set it
}

// set replaces the configuration.
func (c *current) set(cfg Config, now time.Time) {
	cfg.Schedule = append([]Hours(nil), cfg.Schedule...)
	c.cfg = cfg
	c.find(now)
}

// update finds the rates again, if that is due, and reports whether they
// have changed.
func (c *current) update(now time.Time) bool {
	if len(c.cfg.Schedule) == 0 || now.Sub(c.at) < recheck {
		return false
	}
	before := c.rates
	c.find(now)
	return c.rates != before
}

func (c *current) find(now time.Time) {
	wall := now
	if c.wall != nil {
		wall = c.wall(now)
	}
	c.rates, c.at = c.cfg.At(wall), now
}
