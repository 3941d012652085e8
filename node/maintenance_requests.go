package node

import (
	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
)

// Requests that look after the blob store.

// Named names blobs: by id, all blobs of the files of a file_entry.json, or, if
// All is set, everything that is stored.
type Named struct {
	IDs     []blobnet.ID `json:"ids"`
	Entries *Document    `json:"entries,omitempty"`
	All     bool         `json:"all"`
}

// BlobListRequest lists the stored blobs as BlobEvents, by ascending id.
type BlobListRequest struct {
	Pinned bool `json:"pinned"` // only those that are
}

// BlobListResult counts what was listed.
type BlobListResult struct {
	Blobs int64 `json:"blobs"`
	Bytes int64 `json:"bytes"`
}

// BlobEvent ("blob") is one stored blob.
type BlobEvent struct {
	Event   string       `json:"event"`
	ID      blobnet.ID   `json:"id"`
	Size    int64        `json:"size"` // bytes
	Pinned  bool         `json:"pinned"`
	InPlace bool         `json:"inPlace"`       // it lies in a file, and is not stored
	Used    channel.Time `json:"used,omitzero"` // about when it was last used
}

// GCRequest deletes blobs that are not pinned, those whose last use is longest
// ago first, until no more than Target bytes of blobs are left.
type GCRequest struct {
	Target int64 `json:"target"` // bytes
	DryRun bool  `json:"dryRun"` // only count
}

// GCResult counts what was deleted, or would be.
type GCResult struct {
	Blobs    int64 `json:"blobs"`
	Bytes    int64 `json:"bytes"`
	Leftover int64 `json:"leftover"` // unfinished and quarantined files

	Forgotten int64 `json:"forgotten"` // files in place that are gone
	DryRun    bool  `json:"dryRun"`
}

// ScrubRequest reads every stored blob and checks it. It emits ProgressEvents,
// and a RottenEvent for each damaged blob.
type ScrubRequest struct {
	Rate    int64     `json:"rate"`              // bytes per second; 0: as fast as it goes
	Repair  bool      `json:"repair"`            // get damaged and missing blobs again
	Entries *Document `json:"entries,omitempty"` // with Repair: files whose missing blobs are to be had again, rebuilt where nobody has them
	Peers   []string  `json:"peers"`
}

// ScrubResult counts what was found.
type ScrubResult struct {
	Blobs    int64 `json:"blobs"` // checked
	Bytes    int64 `json:"bytes"`
	Rotten   int64 `json:"rotten"`
	Missing  int64 `json:"missing"`
	Repaired int64 `json:"repaired"` // of these, and of the files named
	Left     int64 `json:"left"`     // rotten or missing, and still not here
}

// RottenEvent ("rotten") is a blob or file that is not what it was any more. It
// is served no longer.
type RottenEvent struct {
	Event    string     `json:"event"`
	ID       blobnet.ID `json:"id,omitzero"`
	Path     string     `json:"path,omitempty"` // of a file that was published or fetched in place
	Message  string     `json:"message"`
	Repaired bool       `json:"repaired"`
}

// ExportRequest writes blobs to the tar archive Path.
type ExportRequest struct {
	Named
	Path string `json:"path"` // absolute
}

// ImportRequest stores the blobs of the tar archive Path.
type ImportRequest struct {
	Path string `json:"path"` // absolute
}

// ArchiveResult counts the blobs of an archive.
type ArchiveResult struct {
	Blobs   int64 `json:"blobs"`
	Bytes   int64 `json:"bytes"`
	Missing int64 `json:"missing"` // of an export: named, but not in the store
	Bad     int64 `json:"bad"`     // of an import: not what they are called
	Skipped int64 `json:"skipped"` // of an import: files that are no blobs

	Without []blobnet.ID `json:"without,omitempty"` // those missing or bad, the first 1,000
}

// PushRequest copies blobs to a folder or to an HTTP server that takes PUT.
type PushRequest struct {
	Named
	Target string `json:"target"` // absolute folder, or URL
	Verify bool   `json:"verify"` // read what is there already

	Authorization string `json:"authorization,omitempty"` // header for the server; a secret
}

// PushResult counts what was copied.
type PushResult struct {
	Pushed int64 `json:"pushed"`
	Bytes  int64 `json:"bytes"`
	There  int64 `json:"there"` // were there already
	Failed int64 `json:"failed"`

	Why string `json:"why,omitempty"` // not all were copied
}
