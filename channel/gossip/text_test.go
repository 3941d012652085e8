package gossip

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/channel/reconcile"
)

// These tests hold CHANNELS.md against the code.

func sectionsOfText(t *testing.T) (gossip, sync string) {
	t.Helper()
	data, err := os.ReadFile("../../CHANNELS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(data), "\n## Gossip\n")
	if !ok {
		t.Fatal("no section on gossip")
	}
	gossip, rest, _ = strings.Cut(rest, "\n## Sync\n")
	sync, _, _ = strings.Cut(rest, "\n## ")
	return gossip, sync
}

func TestTextNamesEveryFieldOfTheWire(t *testing.T) {
	_, text := sectionsOfText(t)
	structs := map[string]reflect.Type{
		"request": reflect.TypeFor[request](), "answer": reflect.TypeFor[answer](), "section": reflect.TypeFor[section](),
		"logState": reflect.TypeFor[logState](), "fork": reflect.TypeFor[fork](),
		"question": reflect.TypeFor[question](), "range": reflect.TypeFor[reconcile.Range](), "told": reflect.TypeFor[told](), "toldRange": reflect.TypeFor[reconcile.Told](),
		"state": reflect.TypeFor[reconcile.State](), "stateLog": reflect.TypeFor[reconcile.Log](), "mark": reflect.TypeFor[reconcile.Mark](),
	}
	row := regexp.MustCompile("^\\| (\\d+) \\| `(\\w+)` \\| [^|]+ \\| (yes|no) \\|")
	for _, table := range regexp.MustCompile(`(?s)<!-- wire: (\w+) -->\n(.*?)\n\n`).FindAllStringSubmatch(text, -1) {
		typ, ok := structs[table[1]]
		if !ok {
			t.Errorf("no structure %s", table[1])
			continue
		}
		delete(structs, table[1])
		var told, made []string
		for line := range strings.Lines(table[2]) {
			if m := row.FindStringSubmatch(line); m != nil {
				told = append(told, strings.Join(m[1:], " "))
			}
		}
		for i := range typ.NumField() {
			f := typ.Field(i)
			tag := f.Tag.Get("cbor")
			number, _, _ := strings.Cut(tag, ",")
			optional := "no"
			if strings.Contains(tag, "omitempty") {
				optional = "yes"
			}
			made = append(made, strings.Join([]string{number, strings.ToLower(f.Name), optional}, " "))
		}
		if fmt.Sprint(told) != fmt.Sprint(made) {
			t.Errorf("%s\ntext: %q\ncode: %q", table[1], told, made)
		}
	}
	for name := range structs {
		t.Errorf("%s is not described", name)
	}
}

// The parameters are those of design.md, section 6, and what was found to be
// needed under attack (internal/attack).
func TestTextNamesEveryParameterOfGossip(t *testing.T) {
	text, _ := sectionsOfText(t)
	mesh, score, room := meshParams(), scoreParams(newConduct()), roomScore()
	made := map[string]float64{
		"D": float64(mesh.D), "Dlo": float64(mesh.Dlo), "Dhi": float64(mesh.Dhi), "Dscore": float64(mesh.Dscore), "Dout": float64(mesh.Dout),
		"history": float64(mesh.HistoryLength), "gossiped": float64(mesh.HistoryGossip), "seen": seenFor.Seconds(),
		"validation queue": validateQueue, "outbound queue": outboundQueue, "rooms of a peer": MaxTopicsPerPeer,
		"judged in a room": roomPlaces, "of one source": sourcePlaces, "burst of a source": judgeBurst,
		"rate of a source": float64(time.Second / judgeInterval), "burst of a key": feed.GossipBurst,
		"rate of a key": float64(time.Second / feed.GossipInterval), "room weight": room.TopicWeight, "invalid message": room.InvalidMessageDeliveriesWeight,
		"missing delivery":     room.MeshMessageDeliveriesWeight + room.MeshFailurePenaltyWeight,
		"peers at one address": float64(score.IPColocationFactorThreshold), "beyond them": score.IPColocationFactorWeight,
		"gossip threshold": gossipThreshold, "publish threshold": publishThreshold, "graylist threshold": graylistThreshold, "liar": banishScore,
	}
	_, table, ok := strings.Cut(text, "<!-- gossip: parameters -->\n")
	if !ok {
		t.Fatal("no table of parameters")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	for _, m := range regexp.MustCompile(`(?m)^\| ([^|]+) \| (-?[0-9.]+) \|`).FindAllStringSubmatch(table, -1) {
		value, ok := made[m[1]]
		if got := fmt.Sprint(value); !ok || got != m[2] {
			t.Errorf("%s is %s in the text, and %s in the code", m[1], m[2], got)
		}
		delete(made, m[1])
	}
	for name := range made {
		t.Errorf("%s is not in the text", name)
	}
}

func TestTextNamesEveryLimitOfTheWire(t *testing.T) {
	gossip, sync := sectionsOfText(t)
	for _, want := range []struct {
		text, say string
	}{
		{gossip, string(meshProtocol)},
		{gossip, channelRoom},
		{gossip, topicRoom},
		{gossip, fmt.Sprintf("1 to %d byte strings", MaxBundle)},
		{gossip, "at most 131,072 bytes"},
		{gossip, fmt.Sprintf("and these are at most %d", maxContext)},
		{gossip, fmt.Sprintf("at most %d messages per channel", maxWaiting)},
		{sync, string(SyncProtocol)},
		{sync, "at most 4,096 bytes"},
		{sync, "at most 1,114,112 bytes"},
		{sync, fmt.Sprintf("1 to %d different keys", MaxKeys)},
		{sync, "at most 4,096 numbers"},
		{sync, fmt.Sprintf("at most %d envelopes and 1,048,576 bytes", MaxItems)},
		{sync, fmt.Sprintf("at most %d, each log once", maxLogs)},
		{sync, fmt.Sprintf("at most %d proofs, each of at most 131,072 bytes", maxForks)},
		{sync, fmt.Sprintf("at most %d streams per peer and %d in all", MaxStreams, maxServed)},
		{sync, "at most 8,192 requests on one stream"},
		{sync, fmt.Sprintf("a listing counts as %d, a knock as %d, and heads as 1 and 1 more for every full 8 keys",
			request{Kind: askListing}.cost(), request{Kind: knock}.cost())},
		{sync, fmt.Sprintf("its roots from version 1 on, at most %d", maxRoots)},
		{sync, fmt.Sprintf("%d requests per second and peer, burst %d", askRate, askBurst)},
		{sync, fmt.Sprintf("more than %d channels are due", reconcileOver)},
		{sync, fmt.Sprintf("at most %d in one session", maxDiffering)},
		{sync, fmt.Sprintf("at most %d points of the range", reconcile.MaxItems)},
		{sync, fmt.Sprintf("at most %d items", reconcile.MaxItems)},
		{sync, fmt.Sprintf("at most %d in one question", reconcile.MaxPoints)},
		{sync, fmt.Sprintf("1 to %d; in the opening one", reconcile.MaxRanges)},
		{sync, fmt.Sprintf("at most %d, `split` added", reconcile.MaxBits)},
		{sync, fmt.Sprintf("1 to %d: counts", reconcile.MaxSplit)},
		{sync, fmt.Sprintf("of %d peers in all", maxReconciled)},
		{sync, fmt.Sprintf("Opening costs %d requests, another question 1 and 1 more for every full 8 ranges", reconcileCost)},
	} {
		if !strings.Contains(want.text, want.say) {
			t.Errorf("the text does not say %q", want.say)
		}
	}
	heads, items := request{Kind: askHeads, Keys: make([]channel.Hash, 15)}, request{Kind: askManifests}
	if MaxMessage != 131072 || maxRequest != 4096 || maxFrame != 1114112 || MaxRange != 4096 || MaxAnswer != 1048576 ||
		maxProof != 131072 || MaxListed != 1024 || MaxTopicsPerPeer != 1024 || maxRequests != 8192 ||
		heads.cost() != 2 || items.cost() != 1 {
		t.Error("a limit differs from what the text says")
	}
}
