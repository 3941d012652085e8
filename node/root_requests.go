package node

import "github.com/anonymous-media-library/aml/channel"

// RootRequest makes the next root of a channel: of what is given, and the rest
// as it was. It is signed and published, or with Draft handed back.
type RootRequest struct {
	Target         string              `json:"target"` // an address, id, or topic
	AddRootKeys    []channel.PublicKey `json:"addRootKeys,omitempty"`
	RemoveRootKeys []channel.PublicKey `json:"removeRootKeys,omitempty"`
	Threshold      uint64              `json:"threshold,omitempty"`
	Recovery       *channel.KeySet     `json:"recovery,omitempty"`
	Title          *string             `json:"title,omitempty"`
	Topics         []string            `json:"topics,omitempty"`
	Expires        string              `json:"expires,omitempty"` // a date, a time, or as 90d from now

	Delegate *DelegateRequest `json:"delegate,omitempty"`
	Revoke   *RevokeRequest   `json:"revoke,omitempty"`
	Rotate   *RotateRequest   `json:"rotate,omitempty"`

	RootKeys   []string `json:"rootKeys,omitempty"` // files to sign with; none: those of this home, unless Draft
	Draft      bool     `json:"draft,omitempty"`
	OnlyHolder bool     `json:"onlyHolder,omitempty"` // nobody else can have more of the channel than this home
	Peers      []string `json:"peers,omitempty"`      // to be asked before it is signed
}

// DelegateRequest lets a key in. Of a key that is in already it changes what it
// names, and leaves the rest.
type DelegateRequest struct {
	Key     channel.PublicKey `json:"key"`
	Role    channel.Role      `json:"role"`              // empty: publish
	Scopes  []string          `json:"scopes,omitempty"`  // [""]: all paths
	Expires string            `json:"expires,omitempty"` // as in RootRequest, or never
	Name    *string           `json:"name,omitempty"`    // for people; none: as it was
}

// RevokeRequest withdraws a key.
type RevokeRequest struct {
	Key      channel.PublicKey `json:"key"`
	LastGood *uint64           `json:"lastGood,omitempty"` // none: the newest release known here
}

// RotateRequest puts a new key in place of one that this home publishes with.
type RotateRequest struct {
	Key        *channel.PublicKey `json:"key,omitempty"`        // none: the only one
	NewKeyFile string             `json:"newKeyFile,omitempty"` // absolute; none: a new file in the folder of keys
}

// RootResult is the next root.
type RootResult struct {
	Address   string             `json:"address"`
	Channel   string             `json:"channel"`
	Root      uint64             `json:"root"`                // its version
	Published bool               `json:"published"`           // it is in force
	Already   bool               `json:"already,omitempty"`   // it was in force before
	Unchanged bool               `json:"unchanged,omitempty"` // it says what was asked for already: there is no next
	Changes   []string           `json:"changes"`             // in words
	Missing   []string           `json:"missing"`             // whose signatures, in words
	Expires   channel.Time       `json:"expires,omitzero"`    // nothing new is accepted under it then
	Key       *channel.PublicKey `json:"key,omitempty"`
	KeyFile   string             `json:"keyFile,omitempty"` // of the new key
	Draft     *channel.RootDraft `json:"draft,omitempty"`
}

// PublishRootRequest puts a root into force. Drafts are copies of one draft.
type PublishRootRequest struct {
	Drafts     []Document `json:"drafts"`
	OnlyHolder bool       `json:"onlyHolder,omitempty"`
	Peers      []string   `json:"peers,omitempty"`
	Void       bool       `json:"void,omitempty"` // also where releases that are here would not count any more
}
