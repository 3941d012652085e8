package main

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// author is who signs for a channel.
type author struct {
	*channeltest.Channel
	index     int
	followers int // honest ones
	forked    bool
	branch    string // of a second history, part of what its releases name

	mu sync.Mutex
}

func newAuthor(t testing.TB, index int, forked bool) *author {
	a := &author{Channel: channeltest.NewChannel(t, fmt.Sprintf("simulated channel %d", index)), index: index, forked: forked}
	a.Now = time.Now()
	return a
}

// next signs a release and its head, now.
func (a *author) next() [][]byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.Now = time.Now().Add(-time.Second)
	folder := fmt.Sprintf("release %d%s", a.Seq+1, a.branch)
	return [][]byte{a.Files(folder+"/one", folder+"/two"), a.Head(14 * 24 * time.Hour)}
}

// fork returns an author who signs a history of its own from here on.
func (a *author) fork(branch string) *author {
	a.mu.Lock()
	defer a.mu.Unlock()
	return &author{Channel: a.Branch(), index: a.index, forked: true, branch: branch}
}
