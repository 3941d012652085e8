package plugins

import (
	"fmt"

	pluginv1 "github.com/anonymous-media-library/aml/plugins/proto/aml/plugin/v1"
)

// How much a verdict may say.
const (
	MaxReason = 256 // bytes
	MaxLabels = 64
	maxLabel  = 64  // bytes of a key
	maxValue  = 256 // bytes of a value
)

// Decision is what a plugin says of a release or a file. A later one is
// stronger.
type Decision int

// The decisions.
const (
	Allow      Decision = iota
	Quarantine          // not now; it is asked about again
	Deny
)

func (d Decision) String() string {
	switch d {
	case Quarantine:
		return "quarantine"
	case Deny:
		return "deny"
	}
	return "allow"
}

// DecisionOf reads a decision off the wire.
func DecisionOf(d pluginv1.Decision) (Decision, error) {
	switch d {
	case pluginv1.Decision_DECISION_ALLOW:
		return Allow, nil
	case pluginv1.Decision_DECISION_QUARANTINE:
		return Quarantine, nil
	case pluginv1.Decision_DECISION_DENY:
		return Deny, nil
	}
	return Deny, fmt.Errorf("%w: it decided %d, which is nothing", ErrFailed, d)
}

// Verdict is what plugins say of a release, together.
type Verdict struct {
	Decision Decision
	Plugin   string            // whose decision it is; empty with Allow
	Reason   string            // for people
	Failed   bool              // the decision is only that there was no answer
	Mask     map[string]string // names of entries to leave out, to who says so
	Labels   map[string]string
}

// Add merges what the plugin id says, which comes in the order in which plugins
// are asked: the strongest decision wins, the first of equals; masks unite;
// labels merge, and the first word stands.
func (v *Verdict) Add(id string, w Verdict) {
	// An answer goes before silence, which may be another's fault.
	if w.Decision > v.Decision || w.Decision == v.Decision && v.Failed && !w.Failed {
		v.Decision, v.Plugin, v.Reason, v.Failed = w.Decision, id, w.Reason, w.Failed
	}
	for name := range w.Mask {
		if v.Mask == nil {
			v.Mask = map[string]string{}
		}
		if _, ok := v.Mask[name]; !ok {
			v.Mask[name] = id
		}
	}
	for key, value := range w.Labels {
		if v.Labels == nil {
			v.Labels = map[string]string{}
		}
		if _, ok := v.Labels[key]; !ok && len(v.Labels) < MaxLabels {
			v.Labels[key] = value
		}
	}
}

// CheckSaid bounds what a plugin says for people and for others. Errors wrap
// ErrFailed: an answer with more is none.
func CheckSaid(reason string, labels map[string]string) error {
	if len(reason) > MaxReason {
		return fmt.Errorf("%w: its reason has %d bytes, at most %d are allowed", ErrFailed, len(reason), MaxReason)
	}
	if err := line(reason); err != nil {
		return fmt.Errorf("%w: its reason: %w", ErrFailed, err)
	}
	if len(labels) > MaxLabels {
		return fmt.Errorf("%w: %d labels, at most %d are allowed", ErrFailed, len(labels), MaxLabels)
	}
	for key, value := range labels {
		if key == "" || len(key) > maxLabel || len(value) > maxValue {
			return fmt.Errorf("%w: a label has %d bytes and its key %d, at most %d and %d are allowed", ErrFailed, len(value), len(key), maxValue, maxLabel)
		}
		for _, s := range []string{key, value} {
			if err := line(s); err != nil {
				return fmt.Errorf("%w: a label: %w", ErrFailed, err)
			}
		}
	}
	return nil
}
