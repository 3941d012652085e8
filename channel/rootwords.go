package channel

import (
	"fmt"
	"slices"
	"strings"
)

// manyRevoked is from how many revoked keys on whoever signs is warned that there
// is an end of it.
const manyRevoked = MaxRevoked - 8

// Changes says in words what next says differently from prev, a line each, in a
// fixed order: whoever signs a root should read it. Keys are shown whole, so
// that they can be compared.
func Changes(prev, next Root) []string {
	var c changes
	if prev.Title != next.Title {
		c.add("the title %q becomes %q", prev.Title, next.Title)
	}
	c.topics(prev.Topics, next.Topics)
	if prev.Kind != next.Kind {
		c.add("the kind %s becomes %s", prev.Kind, next.Kind)
	}
	c.keys("root", &prev.Root, &next.Root)
	c.keys("recovery", prev.Recovery, next.Recovery)
	c.publishers(prev, next)
	c.revoked(prev, next)
	if prev.Expires != next.Expires {
		c.add("it is good until %s instead of %s", next.Expires, prev.Expires)
	}
	if n := len(next.Revoked); n > len(prev.Revoked) && n >= manyRevoked {
		c.add("beware: %d keys of this channel are revoked then, and there cannot be more than %d: prepare another channel", n, MaxRevoked)
	}
	for _, p := range next.Publishers {
		if next.Root.contains(p.Key) || next.Recovery != nil && next.Recovery.contains(p.Key) {
			does := "publishes"
			if p.Role == RoleHead {
				does = "signs heads"
			}
			c.add("beware: key %s %s and is a root or recovery key as well; such keys belong offline", p.Key, does)
		}
	}
	c.sameNames(next)
	if !slices.ContainsFunc(next.Publishers, func(p Publisher) bool { return p.Role == RolePublish }) {
		c.add("beware: nobody may publish any more")
	}
	if len(c) == 0 {
		c.add("nothing but the version")
	}
	return c
}

type changes []string

func (c *changes) add(format string, args ...any) { *c = append(*c, fmt.Sprintf(format, args...)) }

func (c *changes) topics(prev, next []string) {
	for _, t := range next {
		if !slices.Contains(prev, t) {
			c.add("it is listed on the topic %s too", t)
		}
	}
	for _, t := range prev {
		if !slices.Contains(next, t) {
			c.add("it is no longer listed on the topic %s", t)
		}
	}
}

func (c *changes) keys(what string, prev, next *KeySet) {
	var none KeySet
	if prev == nil {
		prev = &none
	}
	if next == nil {
		next = &none
	}
	for _, k := range next.Keys {
		if !prev.contains(k) {
			c.add("%s key %s is added", what, k)
		}
	}
	for _, k := range prev.Keys {
		if !next.contains(k) {
			c.add("%s key %s is removed", what, k)
		}
	}
	if prev.Threshold != next.Threshold || len(prev.Keys) != len(next.Keys) {
		switch {
		case len(prev.Keys) == 0:
			c.add("%d of %d %s keys have to sign", next.Threshold, len(next.Keys), what)
		case len(next.Keys) == 0:
			c.add("there are no %s keys any more", what)
		default:
			c.add("%d of %d %s keys have to sign, instead of %d of %d", next.Threshold, len(next.Keys), what, prev.Threshold, len(prev.Keys))
		}
	}
}

func (c *changes) publishers(prev, next Root) {
	for _, p := range next.Publishers {
		old, ok := prev.Publisher(p.Key)
		switch {
		case !ok && p.Name != "":
			c.add("key %s, called %q, may %s", p.Key, p.Name, p.words())
		case !ok:
			c.add("key %s may %s", p.Key, p.words())
		case p.words() != old.words():
			c.add("key %s may %s, instead of %s", p.Key, p.words(), old.words())
		}
		if ok {
			c.name(p, old.Name)
		}
	}
	for _, p := range prev.Publishers {
		_, stays := next.Publisher(p.Key)
		_, revoked := next.RevokedKey(p.Key)
		if !stays && !revoked {
			c.add("key %s may no longer %s", p.Key, p.words())
		}
	}
}

// name says how the name of a key that stays changes.
func (c *changes) name(p Publisher, old string) {
	switch {
	case p.Name == old:
	case old == "":
		c.add("key %s is called %q", p.Key, p.Name)
	case p.Name == "":
		c.add("key %s is no longer called %q", p.Key, old)
	default:
		c.add("key %s is called %q instead of %q", p.Key, p.Name, old)
	}
}

// sameNames tells of keys that followers cannot tell apart by their names, or not
// easily.
func (c *changes) sameNames(next Root) {
	first := make(map[string]PublicKey)
	for _, p := range next.Publishers {
		if p.Name == "" {
			continue
		}
		if other, ok := first[p.Name]; ok {
			c.add("beware: keys %s and %s are both called %q", other, p.Key, p.Name)
			continue
		}
		first[p.Name] = p.Key
	}
	for _, names := range next.AlikeNames() {
		c.add("beware: the names %s look alike", QuotedNames(names))
	}
}

// words says what a publisher may do.
func (p Publisher) words() string {
	s := "sign heads"
	if p.Role == RolePublish {
		s = "publish"
	}
	if len(p.Scopes) > 0 {
		s += " below " + strings.Join(p.Scopes, ", ")
	}
	if p.Expires != 0 {
		s += " until " + p.Expires.String()
	}
	return s
}

func (c *changes) revoked(prev, next Root) {
	for _, v := range next.Revoked {
		old, ok := prev.RevokedKey(v.Key)
		if ok && old == v {
			continue
		}
		if v.Seq == 0 {
			c.add("key %s is revoked, and nothing that it published counts", v.Key)
		} else {
			c.add("key %s is revoked after its release %d (%s), which is the last that counts", v.Key, v.Seq, v.Hash)
		}
	}
}
