// Package policy is what a subscription wants: which releases and files, how
// fast and when, under which names, how much of it and for how long.
//
// It is for the subscriber, which does what a Policy says, and for whoever reads
// one from a person: filters.json, flags. It is pure: the time, how many
// sources there are and what is on disk are arguments. It must never fetch,
// read, write or delete anything, and never hand out a path that leads out of a
// folder. docs/subscriptions.md says what users see.
package policy

import (
	"encoding/json"
	"time"

	"github.com/anonymous-media-library/aml/blobnet/limit"
)

// Policy is as people write it. The zero Policy takes everything. Where a list
// is empty or a number 0 there is no such rule.
type Policy struct {
	// Which releases and files. All rules that are there must be met.
	Keywords   []string // one of them occurs in the release or in the file's name or attrs, in any case
	Exclude    []string // none of them does
	Regex      []string // one of these (RE2) matches the release's title or the file's name
	MediaTypes []string // globs, such as video/*
	Paths      []string // globs of names; those after "!" are left out
	MaxAge     time.Duration
	MaxSize    int64 // of one file, in bytes
	MinSources int   // nodes that have the file, before it is fetched
	ListOnly   bool  // "autoDownload": false: releases are told and not fetched

	// How much, how fast, when.
	Quota    int64 // bytes on disk
	Priority limit.Rank
	Rate     string // as limit.Parse reads it
	Hours    string // as limit.ParseWeek reads it

	Name      string // template of the names that files get, see Template
	Keep      []Keep // what stays; the first whose path matches a file counts
	KeepBlobs bool   // keep the blobs in the store as well
	LookUp    bool   // of a topic: ask for its channels now and then, and join no gossip for it
}

// How much a Policy may say.
const (
	MaxTerms     = 64   // items of one list
	MaxTerm      = 256  // bytes of a keyword, a glob or a media type
	MaxRegex     = 1024 // bytes of a regular expression
	MaxTemplate  = 512
	maxSources   = 1000
	maxKeepCount = 1 << 40
)

// filters are the rules that choose, without what only bounds.
func (p Policy) filters() Policy {
	return Policy{
		Keywords: p.Keywords, Exclude: p.Exclude, Regex: p.Regex, MediaTypes: p.MediaTypes, Paths: p.Paths,
		MaxAge: p.MaxAge, MaxSize: p.MaxSize, MinSources: p.MinSources, ListOnly: p.ListOnly, Quota: p.Quota, Keep: p.Keep,
	}
}

// Fingerprint is the same for two policies that leave out the same.
func (p Policy) Fingerprint() string {
	text, _ := json.Marshal(p.filters()) // has no values that cannot be encoded
	return sum(text)
}

// Rules are a policy that has been checked and made ready.
type Rules struct {
	Policy
	Template Template
	Limits   limit.Config
	Week     limit.Week

	keywords, exclude []string // folded
	regex             []pattern
	types             []pattern
	paths, notPaths   []pattern
	keep              []pattern
	weight            int
}

// Compile checks a policy. Hours and limits are those of the clock in zone (nil:
// time.Local). Errors name the field.
func (p Policy) Compile(zone *time.Location) (*Rules, error) {
	r := &Rules{Policy: p}
	for _, step := range []func(*Rules, *time.Location) error{compileTerms, compileBounds, compileName, compileKeep} {
		if err := step(r, zone); err != nil {
			return nil, err
		}
	}
	return r, nil
}
