package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
)

// ErrUsage: the request itself is wrong; asking again unchanged cannot help.
var ErrUsage = errors.New("wrong request")

// usageError is an error that is also ErrUsage, without saying so in its text.
type usageError struct{ error }

func (usageError) Is(target error) bool { return target == ErrUsage }
func (e usageError) Unwrap() error      { return e.error }

func badRequest(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// missingError is an error that is also fs.ErrNotExist, without saying so in its text.
type missingError string

func (e missingError) Error() string { return string(e) }
func (missingError) Unwrap() error   { return fs.ErrNotExist }

func notFound(format string, args ...any) error {
	return missingError(fmt.Sprintf(format, args...))
}

// badDocument is an error in what a person wrote or handed over, with what was
// wanted instead. That it was forged stays what it is.
func badDocument(err error, want string) error {
	if err == nil || errors.Is(err, channel.ErrSignature) || errors.Is(err, channel.ErrNotAuthorized) || errors.Is(err, channel.ErrChain) {
		return err
	}
	return badRequest("%w; want %s", err, want)
}

// What documents ought to be, as errors say it.
const (
	wantEntries = "what aml ingest prints"
	wantDraft   = "a manifest.json, as in CHANNELS.md"
	wantRoot    = "what channel-root-draft writes"
	wantList    = "what channel-export writes, or OPML"
	wantKey     = "a private key, as key-new writes it"
	wantPlugin  = "a folder or archive with plugin.yaml, see plugin-new"
)

// badKey is err, a wrong request if the key file that a person named is something
// else: then asking again cannot help, which it does once a file is there or may be
// read.
func badKey(err error) error {
	if errors.Is(err, channel.ErrMalformed) {
		return badDocument(err, wantKey)
	}
	return err
}

// None is a request or result without content.
type None struct{}

// IngestRequest seals Path, a file or a folder, into the store.
type IngestRequest struct {
	Path      string `json:"path"`      // absolute
	ChunkSize int    `json:"chunkSize"` // bytes; 0: 1 MiB
	InPlace   bool   `json:"inPlace"`   // leave the chunks in their files
	Erasure   string `json:"erasure"`   // DATA+PARITY, such as 10+4; empty: none
}

// IngestResult has one entry for a file, one for each file of a folder.
type IngestResult struct {
	Folder  bool                `json:"folder"`
	Entries []channel.FileEntry `json:"entries"`
}

// Document is a file that a person wrote, byte for byte, so that errors can say
// the line and the column.
type Document struct {
	Name string `json:"name"` // what errors call it
	Text []byte `json:"text"`
}

// entries reads a file_entry.json, one object or an array.
func (d Document) entries() ([]channel.FileEntry, error) {
	entries, err := channel.ParseFileEntries(d.Text)
	if err != nil {
		return nil, badDocument(fmt.Errorf("%s: %w", d.Name, err), wantEntries)
	}
	return entries, nil
}

// SeedRequest serves the files of one file_entry.json until its context ends.
type SeedRequest struct {
	Entries Document `json:"entries"`
	Peers   []string `json:"peers"` // multiaddrs to know beside discovery
}

// SeedResult counts what was served.
type SeedResult struct {
	Files         int   `json:"files"`
	Blobs         int   `json:"blobs"`
	UploadedBlobs int64 `json:"uploadedBlobs"`
	UploadedBytes int64 `json:"uploadedBytes"`
}

// FetchRequest gets one file; an array of entries is fetched below Output as a
// folder.
type FetchRequest struct {
	Entries Document `json:"entries"`
	Output  string   `json:"output"` // absolute
	Peers   []string `json:"peers"`
	Timeout Duration `json:"timeout"` // without any progress; 0: 60 s

	KeepBlobs bool `json:"keepBlobs"` // store the blobs as well, beside the files
	Replace   bool `json:"replace"`   // write also over files that are plainly others
}

// FetchResult describes what was fetched.
type FetchResult struct {
	Files  []FetchedFile `json:"files"`
	Unkept int           `json:"unkept"` // blobs for which, with KeepBlobs, the store had no room
	Blobs  int           `json:"blobs"`  // of the files, with KeepBlobs
}

// FetchedFile is one file, whole and verified on disk.
type FetchedFile struct {
	Name      string `json:"name"`
	Path      string `json:"path"`
	Size      uint64 `json:"size"`
	SHA256    string `json:"sha256"`
	FromStore uint64 `json:"fromStore"` // bytes that were here already
	FromPeers uint64 `json:"fromPeers"` // bytes that peers sent
}

// PinRequest names blobs by id, or all blobs of the files of a
// file_entry.json.
type PinRequest struct {
	IDs     []blobnet.ID `json:"ids"`
	Entries *Document    `json:"entries,omitempty"`
}

// PinResult counts the blobs pinned or unpinned.
type PinResult struct {
	Blobs int `json:"blobs"`
}

// CreateRequest founds a channel.
type CreateRequest struct {
	Topics  []string     `json:"topics"` // at least one
	Title   string       `json:"title"`  // empty: the first topic
	By      string       `json:"by"`     // what people call who publishes; empty: nothing
	Kind    channel.Kind `json:"kind"`   // empty: media
	KeyFile string       `json:"keyFile"`

	Private     bool `json:"private"`     // only who has a read key reads it
	WithReadKey bool `json:"withReadKey"` // the result tells the read key
}

// CreateResult says where the channel is and which keys were made.
type CreateResult struct {
	Channel string   `json:"channel"`
	Address string   `json:"address"`
	Topics  []string `json:"topics"`
	RootKey string   `json:"rootKey"` // file; move it to a safe place
	Key     string   `json:"key"`     // file of the publishing key

	ReadAddress string `json:"readAddress,omitempty"` // with the read key; a secret
}

// PublishRequest adds a release to the own channel of Topic, which is founded
// if there is none. It has a Draft (a manifest.json) or Paths.
type PublishRequest struct {
	Topic       string    `json:"topic"` // or the channel's address or id
	Draft       *Document `json:"draft,omitempty"`
	DraftDir    string    `json:"draftDir"` // what relative paths in Draft are relative to
	Paths       []string  `json:"paths"`    // absolute files and folders
	Into        string    `json:"into"`     // name in the channel that local files are put below
	Title       string    `json:"title"`
	Description string    `json:"description"`
	ChunkSize   int       `json:"chunkSize"`
	InPlace     bool      `json:"inPlace"` // leave the chunks in their files
	Erasure     string    `json:"erasure"` // DATA+PARITY, such as 10+4; empty: none
	KeyFile     string    `json:"keyFile"`
	OnlyHolder  bool      `json:"onlyHolder"` // nobody else can have more of the channel than this home
	Peers       []string  `json:"peers"`

	draft *channel.Draft // what a source brings
	asked bool           // others were asked just now what they have: they are again only in doubt
}

// PublishResult is the release as it was signed and stored.
type PublishResult struct {
	Address string       `json:"address"`
	Channel string       `json:"channel"`
	Created bool         `json:"created"` // the channel was founded by this request
	Topics  []string     `json:"topics"`
	Seq     uint64       `json:"seq"`
	Hash    channel.Hash `json:"hash"`
	Entries int          `json:"entries"`
	Removed int          `json:"removed"`
	Bytes   uint64       `json:"bytes"` // of plaintext

	Retired []RetiredFile `json:"retired"` // removed by the channel's keep rules
	Spared  []RetiredFile `json:"spared"`  // of this release itself, and beyond the rules: goes with the next
}

// SubscribeRequest follows Target, an address or a topic.
type SubscribeRequest struct {
	Target   string   `json:"target"`
	Output   string   `json:"output"` // absolute folder; empty: below the home's files/
	Once     bool     `json:"once"`   // end when all that is known now is there
	Timeout  Duration `json:"timeout"`
	Trust    []string `json:"trust"`    // channels to follow on a topic
	TrustAll bool     `json:"trustAll"` // follow every channel of a topic
	Stale    bool     `json:"stale"`    // with Once: write out what a channel of kind update has although it is not fresh

	Policy PolicyChange `json:"policy"` // what it takes, how fast, and what stays
	Peers  []string     `json:"peers"`
}

// SubscribeResult is what a subscription that ended has brought.
type SubscribeResult struct {
	Releases int    `json:"releases"`
	Files    int    `json:"files"`
	Bytes    uint64 `json:"bytes"`
	Passed   int    `json:"passed"`             // files that were left out
	Mirrored int    `json:"mirrored,omitempty"` // releases that this node cannot read, and has for others
	Currency        // of the channels together
}

// UnsubscribeRequest ends the subscriptions to Target; its files stay.
type UnsubscribeRequest struct {
	Target string `json:"target"`
	Output string `json:"output,omitempty"` // absolute: only the one that writes there
}

// UnsubscribeResult says which subscriptions ended.
type UnsubscribeResult struct {
	Ended   int      `json:"ended"`
	Outputs []string `json:"outputs"` // their folders
	Left    int      `json:"left"`    // subscriptions to the same that go on

	Followed bool `json:"followed,omitempty"` // there was none, and the channel was followed all the same (UpdateCheck)
}

// ListResult names the known channels.
type ListResult struct {
	Channels []ChannelInfo `json:"channels"`
}

// ChannelInfo is one channel in a list.
type ChannelInfo struct {
	Channel    string       `json:"channel"`
	Address    string       `json:"address"`
	Title      string       `json:"title"`
	Topics     []string     `json:"topics"`
	Class      string       `json:"class"`
	Kind       string       `json:"kind"`
	Root       uint64       `json:"root"`     // version of the root in force
	Releases   uint64       `json:"releases"` // on all logs
	Entries    uint64       `json:"entries"`  // in the view
	Updated    channel.Time `json:"updated,omitzero"`
	Fresh      bool         `json:"fresh"`  // a head is in force
	Forked     bool         `json:"forked"` // a log is frozen, or there are two roots of one version, see channel-show
	State      string       `json:"state"`  // own, followed or listed: then its releases are not here
	Own        bool         `json:"own"`
	Subscribed bool         `json:"subscribed"`
	Petnames   []string     `json:"petnames,omitempty"`  // what this node's user calls it
	Epoch      uint64       `json:"epoch,omitempty"`     // of a private channel, the newest known
	Sealed     int64        `json:"sealed,omitempty"`    // releases that this node cannot read
	LookAlike  string       `json:"lookAlike,omitempty"` // address of a channel whose title looks the same, and that matters more here or was known before
}

// ShowRequest names a channel by address, id, or the topic of an own one.
type ShowRequest struct {
	Target      string `json:"target"`
	WithReadKey bool   `json:"withReadKey"`
}

// ShowResult says all about one channel.
type ShowResult struct {
	ChannelInfo
	ReadAddress string `json:"readAddress,omitempty"` // with the read key of the newest epoch; a secret

	Expires      channel.Time    `json:"expires"` // of the root
	RootKeys     KeySetInfo      `json:"rootKeys"`
	RecoveryKeys *KeySetInfo     `json:"recoveryKeys,omitempty"`
	Publishers   []PublisherInfo `json:"publishers"`
	Term
	Alike   [][]string          `json:"alike,omitempty"` // different names of publishers that look alike, in groups
	Revoked []RevokedInfo       `json:"revoked"`
	Logs    []LogInfo           `json:"logs"`
	Forks   []ForkInfo          `json:"forks"`
	Files   []channel.FileEntry `json:"files"`            // the view, sorted by name
	Removed []TombstoneInfo     `json:"removed"`          // what was taken away, sorted by name
	Labels  []LabelInfo         `json:"labels,omitempty"` // of the newest releases that have some
	Rules   []string            `json:"rules,omitempty"`  // the same as keep, as flags have them
	Keep    json.RawMessage     `json:"keep,omitempty"`   // keep rules of an own channel

	Subscriptions []SubscriptionInfo `json:"subscriptions"` // to the channel by its address
}

// LogInfo is one publishing key's log.
type LogInfo struct {
	Log     channel.PublicKey `json:"log"`
	Seq     uint64            `json:"seq"`
	Hash    channel.Hash      `json:"hash"`
	Fresh   bool              `json:"fresh"`
	Expires channel.Time      `json:"expires,omitzero"` // of its head
	Frozen  bool              `json:"frozen"`           // by a fork: two manifests with one number
	Revoked bool              `json:"revoked"`
	Claimed uint64            `json:"claimed,omitempty"` // a head names this release, which is missing here

	Snapshot uint64 `json:"snapshot,omitempty"` // the release that the newest snapshot ends with
	Joined   uint64 `json:"joined,omitempty"`   // up to this release only those are here that count
	Owed     int64  `json:"owed,omitempty"`     // how many that count have not come yet
}
