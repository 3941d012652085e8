package node

import (
	"context"
	"sync"

	"github.com/anonymous-media-library/aml/blobnet"
)

// maxRotten is how many blobs a scrub names that were lost before it, and how many
// files: the result counts the others.
const maxRotten = 1000

// rotTeller passes a scrub's events on, each damaged file once, however many of
// its chunks are gone and whoever finds it out. It may be used by many goroutines
// at once.
type rotTeller struct {
	emit func(any)

	mu   sync.Mutex // guards what follows; held for memory work alone
	told map[string]bool
	ids  int
}

func newRotTeller(emit func(any)) *rotTeller {
	return &rotTeller{emit: emit, told: map[string]bool{}}
}

// event is what the scrub's own emit is to be.
func (r *rotTeller) event(e any) {
	if rot, ok := e.(RottenEvent); ok && rot.Path != "" && !r.first(rot.Path) {
		return
	}
	r.emit(e)
}

func (r *rotTeller) first(path string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told[path] || len(r.told) >= maxRotten {
		return false
	}
	r.told[path] = true
	return true
}

// files tells of files in which a blob is not, or is not any more.
func (r *rotTeller) files(paths []string) {
	for _, path := range paths {
		r.event(RottenEvent{Event: "rotten", Path: path, Message: "gone, or not what it was; what is missing of it is not served"})
	}
}

// lost tells of a blob that is pinned and was lost before.
func (r *rotTeller) lost(id blobnet.ID) {
	r.mu.Lock()
	r.ids++
	few := r.ids <= maxRotten
	r.mu.Unlock()
	if few {
		r.emit(RottenEvent{Event: "rotten", ID: id, Message: "pinned, and not here since some time"})
	}
}

// paths are the files that a blob ought to lie in; that they are not known is no
// reason to end a scrub.
func (n *Node) paths(ctx context.Context, id blobnet.ID) []string {
	paths, err := n.blobs.Paths(ctx, id)
	if err != nil && ctx.Err() == nil {
		n.log.Warn("looking where a blob lies", "blob", id.Short(), "error", err)
	}
	return paths
}
