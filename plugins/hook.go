package plugins

import (
	"slices"
	"time"

	pluginv1 "github.com/anonymous-media-library/aml/plugins/proto/aml/plugin/v1"
)

// Hook is a point where a plugin may look, filter, add or act, by the name that
// plugin.yaml has for it.
type Hook string

// The hooks.
const (
	FilterManifest Hook = "FilterManifest"
	PlanFetch      Hook = "PlanFetch"
	ScanContent    Hook = "ScanContent"
	BeforePublish  Hook = "BeforePublish"
	Source         Hook = "Source"
	Mirror         Hook = "Mirror"
	Render         Hook = "Render"
	Sign           Hook = "Sign"
	Observe        Hook = "Observe"
)

// Failure is what it means that a plugin gives no answer.
type Failure string

// The failures.
const (
	Open           Failure = "open"             // as if there were no plugin
	Closed         Failure = "closed"           // as if it had said no
	ClosedOnUpdate Failure = "closed on update" // closed in channels of kind update, else open
	Backoff        Failure = "backoff"          // tried again later
	Retry          Failure = "retry queue"
	LastGood       Failure = "last good one"
)

// Rule is what holds for a hook.
type Rule struct {
	Hook     Hook
	Proto    pluginv1.Hook
	Failure  Failure
	Deadline time.Duration // of one answer; 0: none
	Idle     bool          // Deadline is between two messages
	PerMiB   time.Duration // in addition, for what is handed over
	Needs    []Capability
}

// Rules lists all hooks, in the order of their numbers.
func Rules() []Rule {
	return []Rule{
		{Hook: FilterManifest, Proto: pluginv1.Hook_HOOK_FILTER_MANIFEST, Failure: ClosedOnUpdate, Deadline: 200 * time.Millisecond},
		{Hook: PlanFetch, Proto: pluginv1.Hook_HOOK_PLAN_FETCH, Failure: Open, Deadline: 200 * time.Millisecond},
		{Hook: ScanContent, Proto: pluginv1.Hook_HOOK_SCAN_CONTENT, Failure: Closed, Deadline: 60 * time.Second, PerMiB: time.Second, Needs: []Capability{Plaintext}},
		{Hook: BeforePublish, Proto: pluginv1.Hook_HOOK_BEFORE_PUBLISH, Failure: Closed, Deadline: 5 * time.Second, Needs: []Capability{Publish}},
		{Hook: Source, Proto: pluginv1.Hook_HOOK_SOURCE, Failure: Backoff, Deadline: 30 * time.Second, Idle: true, Needs: []Capability{Publish}},
		{Hook: Mirror, Proto: pluginv1.Hook_HOOK_MIRROR, Failure: Retry, Deadline: 30 * time.Second, Idle: true},
		{Hook: Render, Proto: pluginv1.Hook_HOOK_RENDER, Failure: LastGood, Deadline: 5 * time.Second},
		{Hook: Sign, Proto: pluginv1.Hook_HOOK_SIGN, Failure: Closed, Deadline: 30 * time.Second, Needs: []Capability{Publish}},
		{Hook: Observe, Proto: pluginv1.Hook_HOOK_OBSERVE, Failure: Open},
	}
}

// RuleOf returns the rule of a hook.
func RuleOf(h Hook) (Rule, bool) {
	for _, r := range Rules() {
		if r.Hook == h {
			return r, true
		}
	}
	return Rule{}, false
}

// ClosedFor reports whether no answer means no, in a channel of kind update or
// another.
func (r Rule) ClosedFor(update bool) bool {
	return r.Failure == Closed || r.Failure == ClosedOnUpdate && update
}

// Capability is something that a plugin declares to need and an operator grants.
type Capability string

// The capabilities. Processes is one beside those first thought of: without it a
// plugin cannot start any, so that most need no limit on how many.
const (
	Plaintext Capability = "plaintext"
	Keys      Capability = "keys"
	Publish   Capability = "publish"
	Network   Capability = "network"
	Files     Capability = "files"
	Processes Capability = "processes"
)

// Capabilities lists all of them, in the order of their numbers from 1.
func Capabilities() []Capability {
	return []Capability{Plaintext, Keys, Publish, Network, Files, Processes}
}

// Means says what granting it allows, for people.
func (c Capability) Means() string {
	switch c {
	case Plaintext:
		return "read what is in the files that you receive"
	case Keys:
		return "have the keys that open the files of your channels"
	case Publish:
		return "add to, change, stop and sign what you publish"
	case Network:
		return "use the network and local services, in your name"
	case Files:
		return "read and write your files, beyond its own folder"
	case Processes:
		return "start other programs"
	}
	return "do what this version of aml does not know"
}

// Proto is the capability's number.
func (c Capability) Proto() pluginv1.Capability {
	return pluginv1.Capability(slices.Index(Capabilities(), c) + 1) // 0 for one that is unknown
}
