package updates

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrRefused: a release is not to be published.
var ErrRefused = errors.New("not to be published")

// CheckNext says why a release may not follow the others of its channel: its version is
// lower than one that its track has already, it has no build, it lacks a platform that
// the version before had, it has no notes, or a build is named as one of another version,
// which it would replace. A version that is there may be published again, to change its
// rollout, with the same builds.
func CheckNext(releases []Release, next Release) error {
	if len(next.Builds) == 0 {
		return fmt.Errorf("%w: version %s has no build: give files the attribute %q", ErrRefused, next.Version, AttrPlatform)
	}
	if strings.TrimSpace(next.Notes) == "" {
		return fmt.Errorf("%w: version %s has no notes: say in the description what is new", ErrRefused, next.Version)
	}
	var before *Release
	for _, r := range Versions(releases) {
		for _, b := range r.Builds {
			i := slices.IndexFunc(next.Builds, func(n Build) bool { return n.Entry.Name == b.Entry.Name })
			if i < 0 {
				continue
			}
			if r.Version != next.Version {
				return fmt.Errorf("%w: file %q is that of version %s, which would be lost; put the version into its name", ErrRefused, b.Entry.Name, r.Version)
			}
			if next.Builds[i].Entry.SHA256 != b.Entry.SHA256 {
				return fmt.Errorf("%w: version %s is there with another %q; give what is changed a new version", ErrRefused, next.Version, b.Entry.Name)
			}
		}
		if r.Track == next.Track && before == nil {
			before = &r
		}
	}
	if before == nil {
		return nil
	}
	if Compare(next.Version, before.Version) < 0 {
		return fmt.Errorf("%w: version %s is lower than %s, which track %s has; give it a higher one", ErrRefused, next.Version, before.Version, next.Track)
	}
	for _, b := range before.Builds {
		if _, ok := next.For(b.Platform); !ok {
			return fmt.Errorf("%w: version %s has no build for %s, and %s had one", ErrRefused, next.Version, b.Platform, before.Version)
		}
	}
	return nil
}
