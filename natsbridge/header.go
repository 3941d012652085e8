package natsbridge

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/anonymous-media-library/aml/channel"
)

// The headers that a bridge writes, and the only ones that it reads. What else
// comes with a message, above all Nats-*, goes no further.
const (
	headerID     = nats.MsgIdHdr // hash of the envelope
	headerOrigin = "Aml-Origin"  // who put it into NATS first
	headerHops   = "Aml-Hops"    // how many bridges have put it into NATS
	headerTrace  = "traceparent" // W3C Trace Context
)

// MaxHops is how often a message may be put from one NATS into another.
const MaxHops = 4

// Limits of what comes in, checked before anything is parsed.
const (
	// MaxMessage bounds the data of a message: that of gossip. No valid envelope
	// comes near it, since larger bodies lie in blobs.
	MaxMessage = 128 << 10

	maxHeader = 4 << 10 // all names and values
)

// way is how a statement came here.
type way struct {
	origin string // empty: from this node
	hops   int    // 0: from this node
	trace  string
}

// readWay reads the headers of a message that came in. None at all is the way of
// who does not write them.
func readWay(h nats.Header) (way, error) {
	size := 0
	for k, vs := range h {
		for _, v := range vs {
			size += len(k) + len(v)
		}
	}
	if size > maxHeader {
		return way{}, fmt.Errorf("headers of %d bytes, at most %d are allowed: %w", size, maxHeader, channel.ErrTooLarge)
	}
	w := way{origin: h.Get(headerOrigin), hops: 1, trace: h.Get(headerTrace)}
	if s := h.Get(headerHops); s != "" {
		hops, err := strconv.ParseUint(s, 10, 8)
		if err != nil || hops < 1 || hops > MaxHops || strconv.FormatUint(hops, 10) != s {
			return way{}, fmt.Errorf("%s %.20q: want 1 to %d: %w", headerHops, s, MaxHops, channel.ErrMalformed)
		}
		w.hops = int(hops)
	}
	if w.origin != "" && !validName(w.origin) {
		return way{}, fmt.Errorf("%s %.80q: %w", headerOrigin, w.origin, channel.ErrMalformed)
	}
	if !validTrace(w.trace) {
		w.trace = "" // as Trace Context wants it: what does not parse is not passed on
	}
	return w, nil
}

// validName is that of a bridge: 1 to 64 of a-z, 0-9, - and _.
func validName(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// validTrace reports whether s is a traceparent of version 00.
func validTrace(s string) bool {
	if len(s) != 55 || s[:3] != "00-" || s[35] != '-' || s[52] != '-' {
		return false
	}
	for _, part := range []string{s[3:35], s[36:52], s[53:]} {
		if strings.Trim(part, "0123456789abcdef") != "" {
			return false
		}
	}
	return strings.Trim(s[3:35], "0") != "" && strings.Trim(s[36:52], "0") != ""
}

// onward is the way of a message that goes on, or false if it must not.
func (w way) onward(self string) (way, bool) {
	if w.hops >= MaxHops {
		return way{}, false
	}
	next := way{origin: w.origin, hops: w.hops + 1, trace: nextTrace(w.trace)}
	if next.origin == "" {
		next.origin = self
	}
	return next, true
}

// nextTrace goes on with a trace, or begins one that nobody has asked to record.
func nextTrace(parent string) string {
	var span [8]byte
	_, _ = rand.Read(span[:]) // it never fails
	if parent != "" {
		return parent[:36] + hex.EncodeToString(span[:]) + parent[52:]
	}
	var trace [16]byte
	_, _ = rand.Read(trace[:])
	return "00-" + hex.EncodeToString(trace[:]) + "-" + hex.EncodeToString(span[:]) + "-00"
}

// digest names the bytes of an envelope.
type digest [sha256.Size]byte

func digestOf(data []byte) digest { return sha256.Sum256(data) }

func (d digest) String() string { return hex.EncodeToString(d[:]) }

// headers makes those of a message that goes out. Nothing of what came in is in
// it but the way.
func headers(d digest, w way) nats.Header {
	h := nats.Header{}
	h.Set(headerID, d.String())
	h.Set(headerOrigin, w.origin)
	h.Set(headerHops, strconv.Itoa(w.hops))
	h.Set(headerTrace, w.trace)
	return h
}
