package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/publisher"
)

// RetractRequest takes files of a channel back.
type RetractRequest struct {
	Target     string   `json:"target"`            // an address, id, or topic
	Names      []string `json:"names"`             // names in the channel, or globs of them
	Release    uint64   `json:"release,omitempty"` // only what this release brought
	Log        string   `json:"log,omitempty"`     // whose release that is: the key, or how it begins; empty: of the key that signs
	Reason     string   `json:"reason"`
	DryRun     bool     `json:"dryRun,omitempty"`
	KeyFile    string   `json:"keyFile"`
	OnlyHolder bool     `json:"onlyHolder"` // nobody else can have more of the channel than this home
	Peers      []string `json:"peers"`
}

// RetractResult says what was taken back.
type RetractResult struct {
	Address  string          `json:"address"`
	Channel  string          `json:"channel"`
	Files    []RetractedFile `json:"files"`
	Bytes    uint64          `json:"bytes"`    // of plaintext
	Releases []uint64        `json:"releases"` // numbers of those that say so
	Blobs    int             `json:"blobs"`    // deleted here
	Pinned   int             `json:"pinned"`   // files of which somebody has pinned a blob here, which stays
	DryRun   bool            `json:"dryRun"`

	// Of what was given, and could be either: what was taken as the name of a file
	// that there is, and what as a pattern.
	AsNames    []string `json:"asNames,omitempty"`
	AsPatterns []string `json:"asPatterns,omitempty"`
}

// meant says how names were understood that could be patterns.
func (res *RetractResult) meant(names []string) {
	for _, name := range names {
		switch {
		case !publisher.MayBeGlob(name):
		case slices.ContainsFunc(res.Files, func(f RetractedFile) bool { return f.Name == name }):
			res.AsNames = append(res.AsNames, name)
		default:
			res.AsPatterns = append(res.AsPatterns, name)
		}
	}
}

// RetractedFile is a file that was taken back, and which release had brought it.
type RetractedFile struct {
	Name string            `json:"name"`
	Size uint64            `json:"size"`
	Log  channel.PublicKey `json:"log"`
	Seq  uint64            `json:"seq"`
}

// CheckRetraction says what is wrong with a request, as far as that can be known
// without the channel. It needs no node.
func CheckRetraction(req RetractRequest) error {
	if err := CheckTargets(req.Target); err != nil {
		return err
	}
	switch {
	case len(req.Names) == 0 && req.Release == 0:
		return badRequest("what to retract? name files, or a release with --release")
	case req.Log != "" && req.Release == 0:
		return badRequest("--log goes with --release")
	case strings.TrimSpace(req.Reason) == "":
		return badRequest("why? give --reason: followers are shown it, and it stays")
	}
	for _, name := range req.Names {
		if name == "" {
			return badRequest("a name is empty")
		}
	}
	gone := channel.Body{Removals: []channel.Removal{{Name: "a", Reason: req.Reason}}}
	if err := gone.Validate(); err != nil {
		return badRequest("--reason: %w", err)
	}
	return nil
}

// Retract publishes tombstones for files of an own channel, and lets go of what
// they were made of here. It is on disk before anybody is told.
func (n *Node) Retract(ctx context.Context, req RetractRequest, emit func(any)) (RetractResult, error) {
	if err := CheckRetraction(req); err != nil {
		return RetractResult{}, err
	}
	info, to, err := n.ownChannel(ctx, req.Target, req.KeyFile, req.Peers)
	if err != nil {
		return RetractResult{}, err
	}
	r := publisher.Retraction{Channel: info.ID, Key: to.key, Names: req.Names, Release: req.Release, Log: to.key.Public(), Reason: req.Reason}
	if req.Log != "" {
		if r.Log, err = namedLog(info, req.Log); err != nil {
			return RetractResult{}, err
		}
	}
	res := RetractResult{Address: address(info.ID), Channel: info.ID.String(), DryRun: req.DryRun, Files: []RetractedFile{}, Releases: []uint64{}}
	var files []catalog.Entry
	if req.DryRun {
		files, err = n.pub.Retracts(ctx, r)
	} else {
		files, err = n.retract(ctx, r, to, req, &res, emit)
	}
	for _, e := range files {
		res.Files = append(res.Files, RetractedFile{e.Name, e.Size, e.Log, e.Seq})
		res.Bytes += e.Size
	}
	res.meant(req.Names)
	if err != nil && len(res.Releases) > 0 {
		err = fmt.Errorf("%w; what the first of its releases (%d) took back stands, give the command again for the rest", err, len(res.Releases))
	}
	switch {
	case errors.Is(err, channel.ErrName): // of a pattern
		return res, badRequest("retracting from %s: %w", address(info.ID), err)
	case err != nil:
		return res, fmt.Errorf("retracting from %s: %w", address(info.ID), err)
	}
	return res, nil
}

func (n *Node) retract(ctx context.Context, r publisher.Retraction, to publication, req RetractRequest, res *RetractResult, emit func(any)) ([]catalog.Entry, error) {
	if _, err := n.pub.Retracts(ctx, r); err != nil { // what is wrong is said before anybody is asked
		return nil, err
	}
	if err := n.mayWrite(ctx, to, req.OnlyHolder, req.Peers, emit); err != nil {
		return nil, err
	}
	before := n.letting.gone() // a pass that hears of the release may be quicker than ours
	files, done, err := n.pub.Retract(ctx, r)
	for _, d := range done {
		res.Releases = append(res.Releases, d.Seq)
		tellUnannounced(emit, r.Channel, d.Unannounced)
	}
	if len(done) == 0 {
		return files, err
	}
	res.Pinned = n.tookBack(ctx, r.Channel, r.Key).Waiting
	res.Blobs = n.letting.gone() - before
	if err == nil {
		err = n.own(ctx, r.Channel)
	}
	return files, err
}

// ownChannel finds a channel, and the key of this home that publishes to it.
func (n *Node) ownChannel(ctx context.Context, target, keyFile string, peers []string) (catalog.Info, publication, error) {
	if err := n.meet(ctx, peers); err != nil {
		return catalog.Info{}, publication{}, err
	}
	info, err := n.find(ctx, target)
	if err != nil {
		return info, publication{}, err
	}
	to, err := n.publicationTo(ctx, info.ID, keyFile, "")
	return info, to, err
}

// mayWrite makes sure that a log can be gone on with, and says that its channel is
// one's own.
func (n *Node) mayWrite(ctx context.Context, to publication, alone bool, peers []string, emit func(any)) error {
	if err := n.current(ctx, enquiry{to.own.Channel, alone, peers, emit}, to.own.Key); err != nil {
		return err
	}
	n.unlock(ctx, to.own.Channel)
	return n.join(ctx, to)
}

// join says that a channel which somebody else has founded is one's own, too.
func (n *Node) join(ctx context.Context, to publication) error {
	if !to.join {
		return nil
	}
	return n.catalog.Found(ctx, to.own)
}

// namedLog finds a log by its key, or by how that begins.
func namedLog(info catalog.Info, name string) (key channel.PublicKey, err error) {
	found := 0
	for _, l := range info.Logs {
		if strings.HasPrefix(l.Log.String(), strings.ToLower(name)) {
			key = l.Log
			found++
		}
	}
	switch {
	case found == 0:
		return key, fmt.Errorf("no log of %s has a key that begins with %.70q; channel-show lists them: %w", address(info.ID), name, catalog.ErrUnknown)
	case found > 1:
		return key, badRequest("--log %q: %d logs begin like that; say more of it", name, found)
	}
	return key, nil
}
