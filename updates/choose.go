package updates

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/anonymous-media-library/aml/channel"
)

// Installation is a place where software is installed, and asks what it is to have.
type Installation struct {
	ID       [16]byte // that nobody can guess, made once, told to nobody
	Platform string   // GOOS/GOARCH
	Track    string
	Version  string   // what is installed; empty for nothing
	Refused  []string // versions that did not work here
	Missing  []string // versions of which nobody has given the build just now
}

// Choice is what an installation is to have.
type Choice struct {
	Release Release
	Build   Build
	Newer   bool   // than what is installed: install it
	Why     string // nothing is to be installed, or it is not the newest version
}

// Choose returns which of a channel's releases an installation is to have: the highest
// version for its platform, on its track or the stable one, that has come to it and that
// has worked there, if that is higher than what is installed. It never goes back: if all
// that there is is lower, Why says so.
//
// Of releases of one version the last one counts alone, so that a publisher widens a
// rollout, or ends it (0), by publishing the version again.
func Choose(id channel.ID, releases []Release, in Installation) Choice {
	var waiting, refused, elsewhere, missing, highest string
	for _, r := range Versions(releases) {
		if r.Track != in.Track && r.Track != Stable {
			continue
		}
		build, ok := r.For(in.Platform)
		switch {
		case !ok:
			elsewhere = cmp.Or(elsewhere, r.Version)
			continue
		case in.Version != "" && Compare(r.Version, in.Version) <= 0:
			highest = cmp.Or(highest, r.Version)
		case slices.Contains(in.Refused, r.Version):
			refused = cmp.Or(refused, r.Version)
			continue
		case !In(id, r, in.ID):
			waiting = cmp.Or(waiting, r.Version)
			continue
		case slices.Contains(in.Missing, r.Version):
			if missing = cmp.Or(missing, r.Version); in.Version != "" {
				continue
			}
		default:
			return Choice{Release: r, Build: build, Newer: true, Why: why("", waiting, refused, elsewhere, missing, in.Platform)}
		}
		break
	}
	state := "there is no version for it"
	switch {
	case in.Version != "" && highest == "":
		state = fmt.Sprintf("%s is installed, and nothing that the channel has is for it", in.Version)
	case in.Version != "" && Compare(highest, in.Version) < 0:
		state = fmt.Sprintf("the channel has only %s, and it is not gone back from %s", highest, in.Version)
	case in.Version != "":
		state = fmt.Sprintf("%s is installed", in.Version)
	}
	return Choice{Why: why(state, waiting, refused, elsewhere, missing, in.Platform)}
}

func why(state, waiting, refused, elsewhere, missing, platform string) string {
	add := func(format, version string, more ...any) {
		if version == "" {
			return
		}
		if state != "" {
			state += "; "
		}
		state += fmt.Sprintf(format, append([]any{version}, more...)...)
	}
	add("%s cannot be had now from anyone", missing)
	add("%s has not come to this installation yet", waiting)
	add("%s did not work here", refused)
	add("%s is not there for %s", elsewhere, platform)
	return state
}

// Versions returns the releases that count, of each version the last one, the highest
// version first.
func Versions(releases []Release) []Release {
	out := slices.Clone(releases)
	slices.SortFunc(out, func(a, b Release) int {
		return cmp.Or(Compare(b.Version, a.Version), cmp.Compare(b.Issued, a.Issued), b.Log.Compare(a.Log), cmp.Compare(b.Seq, a.Seq))
	})
	return slices.CompactFunc(out, func(a, b Release) bool { return a.Version == b.Version })
}

// In reports whether an installation is among those that have a release already. For
// each version they are others; who has it at some percent has it at any higher one.
func In(id channel.ID, r Release, installation [16]byte) bool {
	h := sha256.New()
	h.Write([]byte("aml rollout 1\x00"))
	h.Write(id[:])
	h.Write(installation[:])
	h.Write([]byte(r.Version))
	const parts = 1 << 32 // so fine that no share is off by more than chance
	place := uint64(binary.BigEndian.Uint32(h.Sum(nil)))
	return place*100 < uint64(r.Rollout)*parts
}
