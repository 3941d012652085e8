package api

import (
	"context"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/config"
	"github.com/anonymous-media-library/aml/node"
)

// What the verbs take and give, by the names that a caller of this package
// uses. The documentation of each stands in node.
type (
	None     = node.None
	Duration = node.Duration
	Document = node.Document
	BlobID   = blobnet.ID
	Kind     = channel.Kind

	Status = node.Status

	IngestRequest = node.IngestRequest
	IngestResult  = node.IngestResult

	SeedRequest = node.SeedRequest
	SeedResult  = node.SeedResult

	FetchRequest = node.FetchRequest
	FetchResult  = node.FetchResult

	Named           = node.Named
	BlobListRequest = node.BlobListRequest
	BlobListResult  = node.BlobListResult
	GCRequest       = node.GCRequest
	GCResult        = node.GCResult
	ScrubRequest    = node.ScrubRequest
	ScrubResult     = node.ScrubResult
	ExportRequest   = node.ExportRequest
	ImportRequest   = node.ImportRequest
	ArchiveResult   = node.ArchiveResult
	PushRequest     = node.PushRequest
	PushResult      = node.PushResult

	BlobStatus  = node.BlobStatus
	Counts      = node.Counts
	Rates       = node.Rates
	RelayStatus = node.RelayStatus
	PinRequest  = node.PinRequest
	PinResult   = node.PinResult

	CreateRequest  = node.CreateRequest
	CreateResult   = node.CreateResult
	PublishRequest = node.PublishRequest
	PublishResult  = node.PublishResult

	RetractRequest = node.RetractRequest
	RetractResult  = node.RetractResult
	RetainRequest  = node.RetainRequest
	RetainResult   = node.RetainResult
	RetiredFile    = node.RetiredFile

	SubscribeRequest   = node.SubscribeRequest
	SubscribeResult    = node.SubscribeResult
	UnsubscribeRequest = node.UnsubscribeRequest
	UnsubscribeResult  = node.UnsubscribeResult

	PublicKey          = channel.PublicKey
	KeySet             = channel.KeySet
	Role               = channel.Role
	RootDraft          = channel.RootDraft
	RootRequest        = node.RootRequest
	DelegateRequest    = node.DelegateRequest
	RevokeRequest      = node.RevokeRequest
	RotateRequest      = node.RotateRequest
	PublishRootRequest = node.PublishRootRequest
	RootResult         = node.RootResult

	PublisherInfo = node.PublisherInfo
	ForkInfo      = node.ForkInfo
	KeySetInfo    = node.KeySetInfo

	ChannelInfo = node.ChannelInfo
	ListResult  = node.ListResult
	ShowRequest = node.ShowRequest
	ShowResult  = node.ShowResult

	CopiesRequest     = node.CopiesRequest
	CopiesResult      = node.CopiesResult
	ReleaseCopies     = node.ReleaseCopies
	WeakestInfo       = node.WeakestInfo
	WaitCopiesRequest = node.WaitCopiesRequest
	WaitCopiesResult  = node.WaitCopiesResult

	PolicyChange     = node.PolicyChange
	SetRequest       = node.SetRequest
	SetResult        = node.SetResult
	SubscriptionInfo = node.SubscriptionInfo
	TrustRequest     = node.TrustRequest
	TrustResult      = node.TrustResult

	ExportListRequest = node.ExportListRequest
	ExportListResult  = node.ExportListResult
	ImportListRequest = node.ImportListRequest
	ImportListResult  = node.ImportListResult

	MembersRequest   = node.MembersRequest
	MembersResult    = node.MembersResult
	MemberListResult = node.MemberListResult
	MemberKeyResult  = node.MemberKeyResult

	SearchRequest = node.SearchRequest
	SearchResult  = node.SearchResult
	SearchHit     = node.SearchHit
	BrowseRequest = node.BrowseRequest
	BrowseResult  = node.BrowseResult
	BrowseChannel = node.BrowseChannel
)

// What the events carry.
type (
	ListeningEvent = node.ListeningEvent
	ProgressEvent  = node.ProgressEvent
	UploadEvent    = node.UploadEvent
	PeerEvent      = node.PeerEvent
	LateEvent      = node.LateEvent
	TurnEvent      = node.TurnEvent
	ManifestEvent  = node.ManifestEvent
	FileEvent      = node.FileEvent
	RemovedEvent   = node.RemovedEvent
	KeptEvent      = node.KeptEvent
	PassedEvent    = node.PassedEvent
	WaitingEvent   = node.WaitingEvent
	HeldEvent      = node.HeldEvent
	Currency       = node.Currency
	Freshness      = node.Freshness
	Term           = node.Term
	MirroredEvent  = node.MirroredEvent
	ChannelEvent   = node.ChannelEvent
	ErrorEvent     = node.ErrorEvent
	WarningEvent   = node.WarningEvent
	BlobEvent      = node.BlobEvent
	RottenEvent    = node.RottenEvent
	StoreEvent     = node.StoreEvent
	CopyEvent      = node.CopyEvent
	CopiesEvent    = node.CopiesEvent
)

// ParseBlobID reads a blob's id, 64 lower-case hex digits.
func ParseBlobID(s string) (BlobID, error) { return blobnet.ParseID(s) }

// CheckPublisherName says what is wrong with a name of a publisher, before it is sent
// to a node: what is not UTF-8 would arrive as something else.
func CheckPublisherName(name string) error { return orNil(node.CheckPublisherName(name)) }

// QuotedNames lists names of publishers, for people.
func QuotedNames(names []string) string { return channel.QuotedNames(names) }

// CheckConfig does the same for a configuration.
func CheckConfig(cfg config.Config) error { return orNil(node.CheckConfig(cfg)) }

// CheckTargets does the same for addresses, ids and topics.
func CheckTargets(targets ...string) error { return orNil(node.CheckTargets(targets...)) }

// CheckSubscribe does the same for what a subscription is to.
func CheckSubscribe(req SubscribeRequest) error { return orNil(node.CheckSubscribe(req)) }

// CheckPolicy does the same for what a request says of a policy.
func CheckPolicy(c PolicyChange) error { return orNil(node.CheckPolicy(c)) }

// CheckRetraction does the same for what is to be taken back.
func CheckRetraction(req RetractRequest) error { return orNil(node.CheckRetraction(req)) }

// CheckKeep does the same for keep rules.
func CheckKeep(doc Document) error { return orNil(node.CheckKeep(doc)) }

// Status says who the node is and what it holds.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return call[Status](ctx, c, "status", None{}, nil)
}

// Listening says under which addresses the node can be reached, once it can.
func (c *Client) Listening(ctx context.Context) (ListeningEvent, error) {
	return call[ListeningEvent](ctx, c, "listening", None{}, nil)
}

// Watch streams everything that the node does until ctx ends.
func (c *Client) Watch(ctx context.Context, on func(Event)) error {
	_, err := call[None](ctx, c, "watch", None{}, on)
	return err
}

// Ingest seals a file, or each file of a folder, into the store.
func (c *Client) Ingest(ctx context.Context, req IngestRequest, on func(Event)) (IngestResult, error) {
	return call[IngestResult](ctx, c, "ingest", req, on)
}

// Seed announces and serves files until ctx ends.
func (c *Client) Seed(ctx context.Context, req SeedRequest, on func(Event)) (SeedResult, error) {
	return call[SeedResult](ctx, c, "blob-seed", req, on)
}

// Fetch gets a file from whoever has it.
func (c *Client) Fetch(ctx context.Context, req FetchRequest, on func(Event)) (FetchResult, error) {
	return call[FetchResult](ctx, c, "blob-fetch", req, on)
}

// BlobStatus counts the blob store.
func (c *Client) BlobStatus(ctx context.Context) (BlobStatus, error) {
	return call[BlobStatus](ctx, c, "blob-status", None{}, nil)
}

// BlobList tells of every stored blob.
func (c *Client) BlobList(ctx context.Context, req BlobListRequest, on func(Event)) (BlobListResult, error) {
	return call[BlobListResult](ctx, c, "blob-list", req, on)
}

// GC deletes blobs that are not pinned.
func (c *Client) GC(ctx context.Context, req GCRequest) (GCResult, error) {
	return call[GCResult](ctx, c, "blob-gc", req, nil)
}

// Scrub checks every stored blob, and repairs what is damaged.
func (c *Client) Scrub(ctx context.Context, req ScrubRequest, on func(Event)) (ScrubResult, error) {
	return call[ScrubResult](ctx, c, "blob-scrub", req, on)
}

// Export writes blobs to an archive.
func (c *Client) Export(ctx context.Context, req ExportRequest, on func(Event)) (ArchiveResult, error) {
	return call[ArchiveResult](ctx, c, "blob-export", req, on)
}

// Import stores the blobs of an archive.
func (c *Client) Import(ctx context.Context, req ImportRequest, on func(Event)) (ArchiveResult, error) {
	return call[ArchiveResult](ctx, c, "blob-import", req, on)
}

// PushHTTP copies blobs to where a plain web server serves them.
func (c *Client) PushHTTP(ctx context.Context, req PushRequest, on func(Event)) (PushResult, error) {
	return call[PushResult](ctx, c, "blob-push-http", req, on)
}

// Pin keeps blobs from eviction; Unpin takes that back.
func (c *Client) Pin(ctx context.Context, req PinRequest) (PinResult, error) {
	return call[PinResult](ctx, c, "blob-pin", req, nil)
}

// Unpin takes one Pin back.
func (c *Client) Unpin(ctx context.Context, req PinRequest) (PinResult, error) {
	return call[PinResult](ctx, c, "blob-unpin", req, nil)
}

// Create founds a channel.
func (c *Client) Create(ctx context.Context, req CreateRequest) (CreateResult, error) {
	return call[CreateResult](ctx, c, "channel-create", req, nil)
}

// Publish adds a release to one of this node's channels.
func (c *Client) Publish(ctx context.Context, req PublishRequest, on func(Event)) (PublishResult, error) {
	return call[PublishResult](ctx, c, "channel-publish", req, on)
}

// Retract takes files of one of this node's channels back.
func (c *Client) Retract(ctx context.Context, req RetractRequest, on func(Event)) (RetractResult, error) {
	return call[RetractResult](ctx, c, "channel-retract", req, on)
}

// Retain shows or changes how much of one of this node's channels stays.
func (c *Client) Retain(ctx context.Context, req RetainRequest, on func(Event)) (RetainResult, error) {
	return call[RetainResult](ctx, c, "channel-retain", req, on)
}

// Subscribe follows a channel or a topic.
func (c *Client) Subscribe(ctx context.Context, req SubscribeRequest, on func(Event)) (SubscribeResult, error) {
	return call[SubscribeResult](ctx, c, "channel-subscribe", req, on)
}

// Unsubscribe ends a subscription.
func (c *Client) Unsubscribe(ctx context.Context, req UnsubscribeRequest) (UnsubscribeResult, error) {
	return call[UnsubscribeResult](ctx, c, "channel-unsubscribe", req, nil)
}

// List names the known channels.
func (c *Client) List(ctx context.Context) (ListResult, error) {
	return call[ListResult](ctx, c, "channel-list", None{}, nil)
}

// Search finds what the node knows.
func (c *Client) Search(ctx context.Context, req SearchRequest) (SearchResult, error) {
	return call[SearchResult](ctx, c, "search", req, nil)
}

// Browse looks at a topic.
func (c *Client) Browse(ctx context.Context, req BrowseRequest) (BrowseResult, error) {
	return call[BrowseResult](ctx, c, "channel-browse", req, nil)
}

// Show says all about one channel.
func (c *Client) Show(ctx context.Context, req ShowRequest) (ShowResult, error) {
	return call[ShowResult](ctx, c, "channel-show", req, nil)
}

// Copies says who has copies of a channel's releases.
func (c *Client) Copies(ctx context.Context, req CopiesRequest) (CopiesResult, error) {
	return call[CopiesResult](ctx, c, "channel-status", req, nil)
}

// WaitCopies returns when so many others have a release, or its time is over.
func (c *Client) WaitCopies(ctx context.Context, req WaitCopiesRequest, on func(Event)) (WaitCopiesResult, error) {
	return call[WaitCopiesResult](ctx, c, "channel-wait-copies", req, on)
}

// Set changes the policies of subscriptions.
func (c *Client) Set(ctx context.Context, req SetRequest) (SetResult, error) {
	return call[SetResult](ctx, c, "channel-set", req, nil)
}

// Trust gives channels petnames.
func (c *Client) Trust(ctx context.Context, req TrustRequest) (TrustResult, error) {
	return call[TrustResult](ctx, c, "channel-trust", req, nil)
}

// ExportList writes subscriptions and petnames down.
func (c *Client) ExportList(ctx context.Context, req ExportListRequest) (ExportListResult, error) {
	return call[ExportListResult](ctx, c, "channel-export", req, nil)
}

// ImportList adds those of a list.
func (c *Client) ImportList(ctx context.Context, req ImportListRequest) (ImportListResult, error) {
	return call[ImportListResult](ctx, c, "channel-import", req, nil)
}

// SetMembers adds and removes members of an own private channel.
func (c *Client) SetMembers(ctx context.Context, req MembersRequest, on func(Event)) (MembersResult, error) {
	return call[MembersResult](ctx, c, "channel-members", req, on)
}

// Members names the members of an own private channel.
func (c *Client) Members(ctx context.Context, req ShowRequest) (MemberListResult, error) {
	return call[MemberListResult](ctx, c, "channel-member-list", req, nil)
}

// MemberKey returns this node's member key, but for its secret half.
func (c *Client) MemberKey(ctx context.Context) (MemberKeyResult, error) {
	return call[MemberKeyResult](ctx, c, "key-member", None{}, nil)
}

// ChangeRoot makes the next root of a channel, and publishes it or hands back
// its draft.
func (c *Client) ChangeRoot(ctx context.Context, req RootRequest, on func(Event)) (RootResult, error) {
	return call[RootResult](ctx, c, "channel-root-change", req, on)
}

// PublishRoot puts a root draft that enough have signed into force.
func (c *Client) PublishRoot(ctx context.Context, req PublishRootRequest, on func(Event)) (RootResult, error) {
	return call[RootResult](ctx, c, "channel-root-publish", req, on)
}
