// Package transfer is the form in which subscriptions and petnames go from one
// home to another: JSON, which has all of them, and OPML, which other programs
// read.
//
// It is for node, which knows the subscriptions. It is pure. It must never write
// a read key that it was not asked for, and never take a path, an address or a
// name of a stranger's file for more than text: what is done with them is for
// the reader to decide.
package transfer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/subscriber/policy"
)

// Limits of what is read.
const (
	MaxItems  = 10_000 // subscriptions, and names
	maxTrust  = 1024   // of one subscription
	maxOutput = 4096
	maxDepth  = 16 // of outlines in one another

	// Of all policies together, as policy.Rules weigh: some hundred bytes of memory each.
	maxWeight = 200_000
)

// ErrList: it is no list of subscriptions. channel's sentinels are wrapped where
// one fits better.
var ErrList = errors.New("not a list of subscriptions")

// List is what one home knows.
type List struct {
	Subscriptions []Subscription
	Names         []Name
	Foreign       int // OPML: outlines of something else, such as RSS
}

// Subscription follows a channel, or those of a topic.
type Subscription struct {
	Title    string          // for people; of a channel
	Address  channel.Address // zero when it follows a topic
	Topic    string
	Output   string // absolute; empty: where the home puts it
	Trust    []channel.ID
	TrustAll bool
	Policy   policy.Policy
}

// Name is what a channel is called.
type Name struct {
	Name    string
	Address channel.Address
}

type listJSON struct {
	Version       int                `json:"version"`
	Subscriptions []subscriptionJSON `json:"subscriptions"`
	Names         []nameJSON         `json:"names"`
}

type subscriptionJSON struct {
	Title    string         `json:"title,omitempty"`
	Address  string         `json:"address,omitempty"`
	Topic    string         `json:"topic,omitempty"`
	Output   string         `json:"output,omitempty"`
	Trust    []channel.ID   `json:"trust,omitempty"`
	TrustAll bool           `json:"trustAll,omitempty"`
	Policy   *policy.Policy `json:"policy,omitempty"`
}

type nameJSON struct {
	Name    string `json:"name"`
	Address string `json:"address"`
}

const version = 1

// JSON writes a list. With keys the addresses have their read keys: then it is a
// secret.
func (l List) JSON(keys bool) ([]byte, error) {
	out := listJSON{Version: version, Subscriptions: []subscriptionJSON{}, Names: []nameJSON{}}
	for _, s := range l.Subscriptions {
		j := subscriptionJSON{Title: s.Title, Topic: s.Topic, Output: s.Output, Trust: s.Trust, TrustAll: s.TrustAll}
		if s.Topic == "" {
			j.Address = text(s.Address, keys)
		}
		if p, err := json.Marshal(s.Policy); err == nil && string(p) != "{}" {
			j.Policy = &s.Policy
		}
		out.Subscriptions = append(out.Subscriptions, j)
	}
	for _, n := range l.Names {
		out.Names = append(out.Names, nameJSON{n.Name, text(n.Address, keys)})
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(out); err != nil {
		return nil, fmt.Errorf("encoding a list of subscriptions: %w", err)
	}
	return buf.Bytes(), nil
}

func text(a channel.Address, keys bool) string {
	if keys {
		return a.StringWithReadKey()
	}
	return a.String()
}

// Parse reads either form; name is what errors call the document.
func Parse(name string, data []byte) (List, error) {
	if trimmed := bytes.TrimLeft(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), " \t\r\n"); bytes.HasPrefix(trimmed, []byte("<")) {
		l, err := parseOPML(trimmed)
		if err != nil {
			return List{}, fmt.Errorf("reading %s: %w", name, err)
		}
		return l, nil
	}
	var l List
	versioned := false
	err := channel.ReadJSON(name, data, func(j *channel.JSON) error {
		return j.Object(func(key string) (err error) {
			switch key {
			case "version":
				versioned = true
				err = j.Version(version)
			case "subscriptions":
				l.Subscriptions, err = many(j, "subscriptions", readSubscription)
			case "names":
				l.Names, err = many(j, "names", readName)
			default:
				err = j.Unknown(key)
			}
			return err
		})
	})
	if err == nil && !versioned {
		err = fmt.Errorf("reading %s: %w: field %q is missing, want 1", name, channel.ErrVersion, "version")
	}
	if err == nil {
		if err = l.checkWeight(); err != nil {
			err = fmt.Errorf("reading %s: %w", name, err)
		}
	}
	if err != nil {
		return List{}, err
	}
	return l, nil
}

// checkWeight refuses a list whose policies would take more memory than a
// stranger's text should.
func (l List) checkWeight() error {
	sum := 0
	for _, s := range l.Subscriptions {
		r, err := s.Policy.Compile(nil)
		if err != nil {
			return err
		}
		if sum += r.Weight(); sum > maxWeight {
			return fmt.Errorf("%w: the expressions and globs of all subscriptions together are over %d characters once repetitions are written out: import it in parts", channel.ErrLimit, maxWeight)
		}
	}
	return nil
}

// many reads an array of what one reads.
func many[T any](j *channel.JSON, what string, one func(*channel.JSON) (T, error)) ([]T, error) {
	var out []T
	err := j.Array(func(int) error {
		if len(out) == MaxItems {
			return j.Refuse("more than %d %s", MaxItems, what)
		}
		item, err := one(j)
		out = append(out, item)
		return err
	})
	return out, err
}

func readSubscription(j *channel.JSON) (s Subscription, err error) {
	err = j.Object(func(key string) (err error) {
		switch key {
		case "title":
			s.Title, err = j.Text()
		case "address":
			err = j.Check(func(text string) (err error) { s.Address, err = channel.ParseAddress(text); return err })
		case "topic":
			err = j.Check(func(text string) (err error) { s.Topic, err = channel.NormalizeTopic(text); return err })
		case "output":
			err = j.Check(func(text string) error { s.Output = text; return checkOutput(text) })
		case "trust":
			err = j.Array(func(int) error {
				if len(s.Trust) == maxTrust {
					return j.Refuse("more than %d channels", maxTrust)
				}
				return j.Check(func(text string) error {
					id, err := channel.ParseID(text)
					s.Trust = append(s.Trust, id)
					return err
				})
			})
		case "trustAll":
			s.TrustAll, err = j.Bool()
		case "policy":
			s.Policy, err = policy.Read(j)
		default:
			err = j.Unknown(key)
		}
		return err
	})
	switch {
	case err != nil:
		return s, err
	case s.Address.ID.IsZero() == (s.Topic == ""):
		return s, fmt.Errorf("%w: a subscription needs either an address or a topic", ErrList)
	case s.Topic == "" && s.Policy.LookUp:
		return s, fmt.Errorf("%w: lookUp goes with a topic, not with %s", ErrList, s.Address)
	case s.Topic == "" && (len(s.Trust) > 0 || s.TrustAll):
		return s, fmt.Errorf("%w: trust goes with a topic, not with %s", ErrList, s.Address)
	}
	return s, nil
}

func checkOutput(path string) error {
	if len(path) > maxOutput {
		return fmt.Errorf("the path has %d bytes, at most %d are allowed", len(path), maxOutput)
	}
	return nil
}

func readName(j *channel.JSON) (n Name, err error) {
	err = j.Object(func(key string) (err error) {
		switch key {
		case "name":
			n.Name, err = j.Text()
		case "address":
			err = j.Check(func(text string) (err error) { n.Address, err = channel.ParseAddress(text); return err })
		default:
			err = j.Unknown(key)
		}
		return err
	})
	if err == nil && (n.Name == "" || n.Address.ID.IsZero()) {
		err = fmt.Errorf("%w: a name needs a name and an address", ErrList)
	}
	return n, err
}
