package house

// module is what every import path of ours begins with.
const module = "github.com/anonymous-media-library/aml"

// floors says on which floor a room lies. A room may import rooms of lower
// floors; on its own floor only what sameFloor allows. internal/ rooms that
// others import are floor 0 too: they know nothing of aml.
var floors = map[string]int{
	"":                            0,
	"blobnet":                     0,
	"internal/crowd":              0,
	"internal/disk":               0,
	"internal/flock":              0,
	"internal/lookalike":          0,
	"internal/public":             0,
	"internal/secretfile":         0,
	"internal/seq":                0,
	"internal/size":               0,
	"internal/sqlite":             0,
	"internal/unpack":             0,
	"internal/words":              0,
	"codec/dcbor":                 0,
	"codec":                       1,
	"blobnet/diskstore":           1,
	"internal/outfile":            1,
	"internal/wholefile":          1,
	"blobnet/memstore":            1,
	"blobnet/storetest":           1,
	"blobnet/exchange":            1,
	"blobnet/tracker":             1,
	"blobnet/wsbridge":            1,
	"blobnet/httpmirror":          1,
	"blobnet/limit":               1,
	"blobnet/account":             1,
	"blobnet/archive":             1,
	"blobnet/bao":                 1,
	"blobnet/fetch":               2,
	"blobnet/copies":              2,
	"codec/inplace":               2,
	"codec/erasure":               2,
	"codec/stream":                3,
	"blobnet/client":              4,
	"channel":                     2,
	"config":                      2,
	"channel/keyfile":             2,
	"channel/feed":                3,
	"channel/reconcile":           3,
	"channel/catalog":             3,
	"publisher":                   3,
	"publisher/given":             4,
	"publisher/intake":            4,
	"subscriber":                  3,
	"subscriber/policy":           3,
	"subscriber/letgo":            3,
	"subscriber/transfer":         3,
	"updates":                     3,
	"updates/appdir":              4,
	"mirror":                      1, // rules of a fleet
	"mirror/kept":                 1,
	"mirror/owed":                 1,
	"mirror/fill":                 2, // keeps a plugin filled
	"natsbridge":                  3,
	"natsbridge/embedded":         3,
	"channel/gossip":              4,
	"node/transport":              4,
	"plugins/confine":             0, // a step between fork and a program: it knows nothing of plugins
	"plugins/proto/aml/plugin/v1": 0, // generated
	"plugins":                     1, // words alone, also for authors of plugins
	"plugins/sdk":                 2, // for authors: no more of aml than the words
	"plugins/sdk/python":          0, // texts of the SDK for Python
	"plugins/child":               2, // one process
	"plugins/shelf":               2, // what is installed
	"plugins/host":                4, // who asks plugins about releases
	"plugins/examples/no-cats":    3, // a plugin
	"plugins/examples/soft-token": 3, // a plugin
	"plugins/command":             2, // external programs, for plugins
	"plugins/blocklist":           3, // a plugin
	"plugins/scan":                3, // a plugin
	"plugins/podcast":             3, // a plugin
	"plugins/webhook":             3, // a plugin
	"plugins/exec":                3, // a plugin
	"plugins/mirror-fs":           3, // a plugin
	"plugins/mirror-s3":           3, // a plugin
	"plugins/updates":             4, // a plugin
	"plugins/bundled":             5, // those that are a part of aml
	"plugins/kit":                 6, // tests plugins, with the host
	"plugins/skeleton":            2, // text of a new plugin
	"node":                        6,
	"node/api":                    7,
	"cmd/aml":                     8,
}

// sameFloor are the imports within one floor, each with its reason.
var sameFloor = map[[2]string]string{
	{"blobnet/exchange", "blobnet/bao"}:          "proofs are a part of the protocol, and bao a tool that knows nothing of it",
	{"channel/keyfile", "channel"}:               "what is in a key's file is the format's business",
	{"publisher", "channel/catalog"}:             "its ledger is an interface whose rows are the catalogue's structs",
	{"publisher", "subscriber/policy"}:           "keep rules are the same words for who publishes and who subscribes",
	{"subscriber", "channel/catalog"}:            "its ledger is an interface whose rows are the catalogue's structs",
	{"subscriber/letgo", "channel/catalog"}:      "its ledger is an interface whose rows are the catalogue's structs",
	{"subscriber", "subscriber/policy"}:          "the policy is pure rules, and knows nothing of who keeps to them",
	{"subscriber/transfer", "subscriber/policy"}: "a list has the policies of its subscriptions",
	{"natsbridge", "channel/catalog"}:            "its ledger is an interface whose rows are the catalogue's structs",
	{"natsbridge", "channel/feed"}:               "the ledger says with feed's word what became of an envelope",
	{"internal/secretfile", "internal/disk"}:     "a new name survives a power loss by the same call everywhere",
	{"internal/sqlite", "internal/disk"}:         "what is no file is seen before it is opened, as everywhere in a home",
	{"subscriber", "channel/feed"}:               "the ledger says with feed's word what kind of thing is new",
	{"channel/catalog", "channel/reconcile"}:     "a state vector is digested where it is read, so that what is kept of each channel in memory stays small",
	{"channel/catalog", "channel/feed"}:          "the catalogue drives the state machine and stores what it decides in the same transaction",
}

// ownChild are the imports of a child by its parent, each with its reason.
var ownChild = map[[2]string]string{
	{"codec", "codec/dcbor"}:                   "dcbor is a tool below the codec, and knows nothing of it",
	{"subscriber", "subscriber/policy"}:        "the policy is a tool below the subscriber, and knows nothing of it",
	{"node", "node/transport"}:                 "node is assembly, not vocabulary: nobody below it imports it",
	{"internal/sim", "internal/sim/simnet"}:    "sim is a program: nobody imports it",
	{"internal/sim", "internal/sim/ledger"}:    "sim is a program: nobody imports it",
	{"plugins", "plugins/proto/aml/plugin/v1"}: "the numbers on the wire are words too, and import nothing of aml",
}

// ban keeps one kind of import out of a room and all rooms below it.
type ban struct {
	room    string   // a room, or a folder of rooms
	except  []string // rooms in it that may
	imports []string // import paths or their prefixes
	reason  string
}

var libp2p = []string{"github.com/libp2p/", "github.com/multiformats/", "github.com/ipfs/"}

// bans are the rules that floors alone do not say.
var bans = []ban{
	{"blobnet", []string{"blobnet/diskstore", "blobnet/memstore", "blobnet/storetest", "blobnet/exchange", "blobnet/tracker", "blobnet/fetch",
		"blobnet/wsbridge", "blobnet/httpmirror", "blobnet/limit", "blobnet/account", "blobnet/archive", "blobnet/bao", "blobnet/copies", "blobnet/client"},
		[]string{module, "github.com/", "golang.org/x/", "net", "os"},
		"the vocabulary of blobs does no I/O and pulls in nothing: every room imports it"},
	{"blobnet", []string{"blobnet/client"}, []string{module + "/codec", module + "/channel"},
		"the blob layer never knows what a blob holds"},
	{"blobnet/client", nil, []string{module + "/channel", module + "/node"},
		"an engineer embeds the blob layer and the codec without the rest of aml"},
	{"blobnet/copies", nil, append([]string{"net", "os"}, libp2p...),
		"whom it asks is handed in: it counts, and speaks no protocol"},
	{"blobnet/fetch", nil, libp2p,
		"sources are one interface: HTTP mirrors and disks are fetched from by the same scheduler"},
	{"codec", []string{"codec/inplace"}, append([]string{"net", "os", "net/http", "database/sql"}, libp2p...),
		"the codec is pure: blobs come and go through interfaces"},
	{"channel", []string{"channel/feed", "channel/reconcile", "channel/catalog", "channel/gossip", "channel/keyfile"}, append([]string{"os", "os/exec", "net", "net/http", "database/sql", "context"}, libp2p...),
		"formats are pure: no I/O, no clock, no goroutine"},
	{"channel/feed", nil, append([]string{"net", "os", "context", "database/sql", "sync"}, libp2p...),
		"protocol decisions are a stepped state machine: time and envelopes come in, verdicts go out"},
	{"channel/reconcile", nil, append([]string{"net", "os", "context", "database/sql", "sync", "time", "crypto/rand"}, libp2p...),
		"a session of reconciliation is pure steps: salt and answers come in, questions go out"},
	{"channel/catalog", nil, libp2p,
		"what we know is on disk; how it came is not its business"},
	{"channel", nil, []string{module + "/subscriber", module + "/publisher"},
		"what a user wants is told to nobody: no room that speaks of channels to peers knows of it"},
	{"node/transport", nil, []string{module + "/subscriber", module + "/publisher", module + "/channel/catalog"},
		"who connects to peers knows nothing of what a user wants"},
	{"publisher", nil, append([]string{"net", "net/http", "database/sql"}, libp2p...),
		"a publisher works offline: broadcasting is handed in"},
	{"subscriber", nil, append([]string{"net", "net/http", "database/sql"}, libp2p...),
		"a subscriber gets blobs from sources that are handed in"},
	{"subscriber/transfer", nil, []string{"os", "context", "path/filepath", "net/url"},
		"a list is text: what is done with its paths and addresses is for the node to decide"},
	{"subscriber/policy", nil, []string{"os", "context", "sync", "path/filepath"},
		"a policy is pure: time, sources and what is on disk are arguments"},
	{"natsbridge", nil, append([]string{"database/sql", module + "/publisher", module + "/subscriber", module + "/codec/stream", module + "/codec/inplace", module + "/blobnet/diskstore", module + "/blobnet/fetch", module + "/blobnet/exchange"}, libp2p...),
		"a bridge carries signed bytes and sealed blobs between this node and NATS: whose they are and what is in them is not its business"},
	{"natsbridge/embedded", nil, []string{module + "/channel", module + "/natsbridge$"},
		"the built-in server knows nothing of what its streams hold"},
	// plugins/updates has the rules of who installs, so that the two never differ.
	{"plugins", []string{"plugins/host", "plugins/kit", "plugins/updates"}, append([]string{module + "/channel", module + "/blobnet", module + "/codec"}, libp2p...),
		"a plugin is a small program: what its author imports pulls in nothing of the node"},
	{"cmd", nil, append([]string{module + "/node$", module + "/channel", module + "/codec", module + "/blobnet", "database/sql"}, libp2p...),
		"the command line talks only to node/api, so that it works the same with and without a daemon"},
}

// homes are the rooms in which alone a giant may stand (house rule: one
// package per giant), tests aside.
var homes = map[string][]string{
	"github.com/spf13/viper":              {"config"},
	"github.com/spf13/cobra":              {"cmd/aml"},
	"github.com/piglig/go-qr":             {"cmd/aml"},
	"github.com/schollz/progressbar":      {"cmd/aml"},
	"modernc.org/sqlite":                  {"internal/sqlite"},
	"github.com/libp2p":                   {"blobnet/exchange", "blobnet/client", "blobnet/tracker", "channel/gossip", "node/transport", "node"},
	"github.com/libp2p/go-libp2p-pubsub":  {"channel/gossip"},
	"github.com/libp2p/go-libp2p-kad-dht": {"blobnet/tracker"},
	"github.com/libp2p/zeroconf":          {"blobnet/tracker"},
	"github.com/fxamacker/cbor":           {"codec/dcbor"},
	"lukechampine.com/blake3":             {"codec", "blobnet/bao"},
	"github.com/klauspost/reedsolomon":    {"codec/erasure"},
	"github.com/coder/websocket":          {"blobnet/wsbridge"},
	"github.com/hashicorp/go-plugin":      {"plugins/child", "plugins/sdk"},
	"github.com/nats-io/nats.go":          {"natsbridge", "internal/natslab"},
	"github.com/nats-io/nats-server":      {"natsbridge/embedded", "internal/natslab"},
	"google.golang.org/grpc":              {"plugins/child", "plugins/sdk", "plugins/host", "plugins/proto/aml/plugin/v1"},
	"go.yaml.in/yaml/v3":                  {"plugins"},
	"github.com/minio/minio-go":           {"plugins/mirror-s3"},
	"github.com/mmcdole/gofeed":           {"plugins/podcast"},
	"github.com/dhowden/tag":              {"plugins/podcast"},
	"github.com/theupdateframework":       {"plugins/updates"},
	"github.com/sigstore":                 {"plugins/updates"},

	// These are for tests, which this table does not look at.
	module + "/blobnet/storetest":    nil,
	module + "/internal/channeltest": nil,
	module + "/internal/natslab":     nil,
	module + "/internal/smalldisk":   nil,
}
