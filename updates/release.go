// Package updates is about software in channels: what a release says of the version
// that it brings, which version an installation is to have, and what a publisher may
// not do with versions.
//
// It is for those who publish, check for and install software, and pure: it must never
// read a file, a clock or the network, and never look at what a file holds. What is
// chosen is as good as the view of the channel that it is chosen from: whoever asks sees
// to it that this is fresh and has no fork. How an installed version is replaced is the
// business of updates/appdir. docs/updates.md has the rules.
package updates

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/anonymous-media-library/aml/channel"
)

// What a release and its files are called in their metadata and attributes.
const (
	KeyVersion   = "version"  // of a release's metadata: its semantic version
	KeyTrack     = "track"    // the same: who is to have it, Stable if absent
	KeyRollout   = "rollout"  // the same: percent of installations, 100 if absent
	AttrPlatform = "platform" // of a file: GOOS/GOARCH, or AnyPlatform; without it, it is no build
)

const (
	// Stable is the track of those who have not chosen one.
	Stable = "stable"
	// AnyPlatform is that of a build that runs everywhere.
	AnyPlatform = "any"
)

// ErrRelease: a release says something of its version that cannot be understood.
var ErrRelease = errors.New("not a release of software")

const (
	maxVersion  = 64
	maxTrack    = 32
	maxPlatform = 64
)

// Release is a release of a version.
type Release struct {
	Version string
	Track   string
	Rollout int // percent of installations that are to have it
	Title   string
	Notes   string
	Builds  []Build // in the order of their names

	// Where it stands: the last word on a version counts, which is that of the
	// release that was issued last, then that of the greater log.
	Log    channel.PublicKey
	Seq    uint64
	Issued channel.Time
}

// Build is a version for one platform.
type Build struct {
	Platform string
	Entry    channel.FileEntry
}

// Parse reads what a release's body says. One without a version is not about software:
// ok is false. One that cannot be understood gives ErrRelease.
func Parse(body channel.Body) (r Release, ok bool, err error) {
	r = Release{Version: body.Metadata[KeyVersion], Track: Stable, Rollout: 100, Title: body.Title, Notes: body.Description}
	if r.Version == "" {
		return r, false, nil
	}
	if err := CheckVersion(r.Version); err != nil {
		return r, false, fmt.Errorf("%w: %w", ErrRelease, err)
	}
	if track, there := body.Metadata[KeyTrack]; there {
		if err := CheckTrack(track); err != nil {
			return r, false, fmt.Errorf("%w: %w", ErrRelease, err)
		}
		r.Track = track
	}
	if text, there := body.Metadata[KeyRollout]; there {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > 100 || strconv.Itoa(n) != text {
			return r, false, fmt.Errorf("%w: rollout %q: want a whole number of percent, 0 to 100", ErrRelease, text)
		}
		r.Rollout = n
	}
	for _, e := range body.Entries {
		platform, there := e.Attrs[AttrPlatform]
		if !there {
			continue
		}
		if err := CheckPlatform(platform); err != nil {
			return r, false, fmt.Errorf("%w: file %q: %w", ErrRelease, e.Name, err)
		}
		if slices.ContainsFunc(r.Builds, func(b Build) bool { return b.Platform == platform }) {
			return r, false, fmt.Errorf("%w: file %q is another build for platform %s", ErrRelease, e.Name, platform)
		}
		r.Builds = append(r.Builds, Build{platform, e})
	}
	return r, true, nil
}

// For returns the build for a platform, or that for any.
func (r Release) For(platform string) (Build, bool) {
	for _, want := range []string{platform, AnyPlatform} {
		if i := slices.IndexFunc(r.Builds, func(b Build) bool { return b.Platform == want }); i >= 0 {
			return r.Builds[i], true
		}
	}
	return Build{}, false
}

// CheckVersion says what is wrong with a version: it is a semantic version of three
// numbers, such as 1.2.3 or 2.0.0-rc.1, without build metadata, which has no order, of at
// most 64 bytes.
func CheckVersion(s string) error {
	v := "v" + s
	if len(s) > maxVersion || !semver.IsValid(v) || semver.Canonical(v) != v {
		return fmt.Errorf("version %q: want a semantic version such as 1.2.3 or 2.0.0-rc.1", s)
	}
	return nil
}

// Compare orders versions that CheckVersion passes, as semver.org has it.
func Compare(a, b string) int { return semver.Compare("v"+a, "v"+b) }

// CheckTrack says what is wrong with a track: 1 to 32 of a-z, 0-9 and hyphens.
func CheckTrack(s string) error {
	if s == "" || len(s) > maxTrack || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return fmt.Errorf("track %q: want 1 to %d of a-z, 0-9 and hyphens", s, maxTrack)
	}
	return nil
}

// CheckPlatform says what is wrong with a platform: GOOS/GOARCH, or any.
func CheckPlatform(s string) error {
	system, machine, found := strings.Cut(s, "/")
	if s == AnyPlatform || found && len(s) <= maxPlatform && word(system) && word(machine) {
		return nil
	}
	return fmt.Errorf("platform %q: want GOOS/GOARCH such as linux/amd64, or %s", s, AnyPlatform)
}

func word(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}
