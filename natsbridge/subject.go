package natsbridge

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/anonymous-media-library/aml/channel"
)

// DefaultNetwork is the network of subjects and streams where none is named.
const DefaultNetwork = "main"

// maxNetwork bounds the name of a network.
const maxNetwork = 32

// The kinds of subjects, each the token after the network.
const (
	kindRoot     = "root" // root.<channel>.<version>
	kindManifest = "m"    // m.<channel>.<epoch>.<seq>.<log>
	kindFork     = "fork" // fork.<channel>.<hash>
	kindHead     = "head" // head.<channel>.<log>
	kindSnapshot = "snap" // snap.<channel>.<log>
	kindIn       = "in"   // in.<channel>
	kindEvent    = "event"
	kindJob      = "job"  // job.<kind>.<id>
	kindDead     = "dead" // dead.<kind>.<id>
	kindGroup    = "group"
)

// names are the subjects and streams of one network.
type names struct {
	network string
	prefix  string // with the dot at its end
}

// ValidNetwork says what is wrong with the name of a network: 1 to 32 of a-z,
// 0-9, - and _.
func ValidNetwork(s string) error {
	if s == "" || len(s) > maxNetwork || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		return wrong("network %.40q: want 1 to %d of a-z, 0-9, - and _", s, maxNetwork)
	}
	return nil
}

func newNames(network string) names {
	return names{network: network, prefix: "aml.v1." + network + "."}
}

func (n names) stream(what string) string { return "aml_" + n.network + "_" + what }

func (n names) all(kind string) string { return n.prefix + kind + ".>" }

func (n names) of(kind string, id channel.ID) string { return n.prefix + kind + "." + id.String() }

func (n names) root(id channel.ID, version uint64) string {
	return n.of(kindRoot, id) + "." + strconv.FormatUint(version, 10)
}

func (n names) manifest(id channel.ID, epoch, seq uint64, log channel.PublicKey) string {
	return n.of(kindManifest, id) + "." + strconv.FormatUint(epoch, 10) + "." + strconv.FormatUint(seq, 10) + "." + log.String()
}

func (n names) head(id channel.ID, log channel.PublicKey) string {
	return n.of(kindHead, id) + "." + log.String()
}

func (n names) snapshot(id channel.ID, log channel.PublicKey) string {
	return n.of(kindSnapshot, id) + "." + log.String()
}

func (n names) fork(id channel.ID, proof channel.Hash) string {
	return n.of(kindFork, id) + "." + proof.String()
}

// subject is one that names a statement of a channel. Fields without meaning
// for its kind are zero.
type subject struct {
	kind    string
	channel channel.ID
	log     channel.PublicKey
	epoch   uint64
	seq     uint64 // of a manifest; the version of a root
	hash    channel.Hash
}

// replaced reports whether the newest statement takes the place of the one before.
func (s subject) replaced() bool { return s.kind == kindHead || s.kind == kindSnapshot }

// parse reads the subjects that root, manifest, head, snapshot, fork and of(kindIn) write,
// and no other: every statement has one subject.
func (n names) parse(s string) (subject, error) {
	bad := func() (subject, error) { return subject{}, fmt.Errorf("subject %.256q: %w", s, channel.ErrMalformed) }
	rest, ok := strings.CutPrefix(s, n.prefix)
	if !ok || len(s) > 512 {
		return bad()
	}
	token := strings.Split(rest, ".")
	if len(token) < 2 {
		return bad()
	}
	sub := subject{kind: token[0]}
	var err error
	if sub.channel, err = channel.ParseID(token[1]); err != nil {
		return bad()
	}
	var want string
	switch {
	case sub.kind == kindRoot && len(token) == 3:
		sub.seq, err = number(token[2])
		want = n.root(sub.channel, sub.seq)
	case sub.kind == kindManifest && len(token) == 5:
		if sub.epoch, err = number(token[2]); err != nil {
			return bad()
		}
		if sub.seq, err = number(token[3]); err != nil {
			return bad()
		}
		sub.log, err = channel.ParsePublicKey(token[4])
		want = n.manifest(sub.channel, sub.epoch, sub.seq, sub.log)
	case sub.kind == kindHead && len(token) == 3:
		sub.log, err = channel.ParsePublicKey(token[2])
		want = n.head(sub.channel, sub.log)
	case sub.kind == kindSnapshot && len(token) == 3:
		sub.log, err = channel.ParsePublicKey(token[2])
		want = n.snapshot(sub.channel, sub.log)
	case sub.kind == kindFork && len(token) == 3:
		sub.hash, err = channel.ParseHash(token[2])
		want = n.fork(sub.channel, sub.hash)
	case sub.kind == kindIn && len(token) == 2:
		want = n.of(kindIn, sub.channel)
	}
	if err != nil || want != s {
		return bad()
	}
	return sub, nil
}

func number(s string) (uint64, error) { return strconv.ParseUint(s, 10, 63) }
