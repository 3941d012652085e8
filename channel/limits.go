package channel

import "time"

// Limits of the formats. They are part of the formats: a change of any of them
// is a new format version. Sizes are in bytes.
const (
	MaxRoot     = 16 << 10 // payload of a root
	MaxManifest = 1 << 20  // payload of a manifest
	MaxHead     = 2 << 10  // payload of a head
	MaxSnapshot = 48 << 10 // payload of a snapshot
	MaxPage     = 36 << 10 // page of a snapshot
	MaxEnvelope = MaxManifest + 8<<10

	PageSpan = 1024 // numbers of a log that one page of a snapshot covers
	MaxPages = 1024 // of one snapshot

	MaxSignatures = 32 // in an envelope
	MaxRootKeys   = 16 // in one KeySet, so that two full sets can sign one envelope
	MaxPublishers = 32
	MaxRevoked    = 64
	MaxScopes     = 16 // of one publisher

	MaxPublisherName = 64

	MaxInlineBody  = 32 << 10 // encoded body inside a manifest; a larger one lives in a blob
	MaxBody        = 2 << 20  // encoded body in a blob
	MaxSealedBody  = 40 << 10 // sealed body inside a manifest
	MaxEntries     = 4096     // in one body
	MaxRemovals    = 4096     // in one body
	MaxTitle       = 256
	MaxDescription = 16 << 10
	MaxReason      = 1 << 10 // of a removal
	MaxPairs       = 64      // of metadata, and of each entry's attrs
	MaxPairKey     = 64
	MaxPairValue   = 4 << 10
	MaxMediaType   = 128

	MaxMembers        = 1024     // of a private channel
	MaxPreviousEpochs = 1024     // whose keys a keyring holds
	MaxSecrets        = 64 << 10 // box with the secrets of a keyring
	MaxKeyring        = 2 << 20  // keyring blob

	MaxName      = 1024 // a whole name
	MaxComponent = 255  // what stands between two slashes of it

	MaxTopics      = 8 // of one root
	MaxTopic       = 128
	MaxTopicLevels = 8

	MaxMirrors = 16 // of one head
	MaxMirror  = 256

	MaxAddress = 4096
	MaxJSON    = 16 << 20 // of one JSON input

	MaxRootsBefore = 4096 // roots that a root draft carries

	// MaxHeadLife is the longest time between Issued and Expires of a head.
	MaxHeadLife = 90 * 24 * time.Hour
)
