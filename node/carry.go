package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/subscriber"
	"github.com/anonymous-media-library/aml/subscriber/transfer"
)

// ExportListRequest asks for the subscriptions and petnames of this home.
type ExportListRequest struct {
	OPML bool `json:"opml,omitempty"` // in place of JSON: without policies and names
	Keys bool `json:"keys,omitempty"` // with read keys: then it is a secret
}

// ExportListResult is the document.
type ExportListResult struct {
	Text          []byte `json:"text"`
	Subscriptions int    `json:"subscriptions"`
	Names         int    `json:"names"`
}

// ImportListRequest adds what is in a list, JSON or OPML.
type ImportListRequest struct {
	List    Document `json:"list"`
	Outputs bool     `json:"outputs,omitempty"` // write to the folders that the list names, wherever they are
	Replace bool     `json:"replace,omitempty"` // give what is there the policies of the list
	Trust   bool     `json:"trust,omitempty"`   // the list is one's own: take its names, and trust whom it trusts
}

// ImportListResult says what became of each item, by its address or topic, or
// name.
type ImportListResult struct {
	Added   []string `json:"added"`
	There   []string `json:"there"`   // was there, and is as it was
	Changed []string `json:"changed"` // was there, and has got another policy or a read key

	NamesAdded []string `json:"namesAdded"`
	NamesThere []string `json:"namesThere"`
	NamesTaken []string `json:"namesTaken"` // name another channel here, and still do

	TrustLeft []string `json:"trustLeft"` // topics whose trust was not taken over
	NamesLeft []string `json:"namesLeft"` // names that were not taken over

	Foreign int `json:"foreign"` // outlines of other programs
}

// ExportList writes all subscriptions and petnames down.
func (n *Node) ExportList(ctx context.Context, req ExportListRequest, _ func(any)) (ExportListResult, error) {
	var l transfer.List
	subs, err := n.catalog.Subscriptions(ctx)
	if err != nil {
		return ExportListResult{}, err
	}
	for _, sub := range subs {
		s, err := n.carried(ctx, sub, req.Keys)
		if err != nil {
			return ExportListResult{}, err
		}
		l.Subscriptions = append(l.Subscriptions, s)
	}
	names, err := n.catalog.Petnames(ctx, "")
	if err != nil {
		return ExportListResult{}, err
	}
	for _, p := range names {
		a, err := channel.ParseAddress(p.Address)
		if err != nil {
			return ExportListResult{}, fmt.Errorf("channel called %q: %w", p.Name, err)
		}
		if req.Keys {
			if a, err = n.withReadKey(ctx, a); err != nil {
				return ExportListResult{}, err
			}
		}
		l.Names = append(l.Names, transfer.Name{Name: p.Name, Address: a})
	}
	res := ExportListResult{Subscriptions: len(l.Subscriptions), Names: len(l.Names)}
	if req.OPML {
		res.Names = 0
		res.Text, err = l.OPML(time.Now(), req.Keys)
	} else {
		res.Text, err = l.JSON(req.Keys)
	}
	return res, err
}

// carried is a subscription as a list has it.
func (n *Node) carried(ctx context.Context, sub catalog.Subscription, keys bool) (s transfer.Subscription, err error) {
	s = transfer.Subscription{Topic: sub.Topic, Trust: sub.Trust, TrustAll: sub.TrustAll}
	folder := sub.Topic
	if sub.Topic == "" {
		if s.Address, err = channel.ParseAddress(sub.Address); err != nil {
			return s, fmt.Errorf("subscription to %s: %w", targetOf(sub), err)
		}
		if keys {
			if s.Address, err = n.withReadKey(ctx, s.Address); err != nil {
				return s, err
			}
		}
		folder = sub.Channel.String()
		if info, err := n.catalog.Channel(ctx, sub.Channel); err == nil && info.HasRoot {
			s.Title = info.Root.Title
		}
	}
	if sub.Output != n.usualFolder(folder) {
		s.Output = sub.Output
	}
	s.Policy, err = policyOf(sub)
	return s, err
}

// ImportList adds what is in a list to what is here. Whatever is here stays as it
// is, unless the request says otherwise.
func (n *Node) ImportList(ctx context.Context, req ImportListRequest, _ func(any)) (ImportListResult, error) {
	res := ImportListResult{Added: []string{}, There: []string{}, Changed: []string{}, NamesAdded: []string{}, NamesThere: []string{}, NamesTaken: []string{}, TrustLeft: []string{}, NamesLeft: []string{}}
	if n.cfg.Network {
		if _, err := n.online(ctx); err != nil {
			return res, err
		}
	}
	l, err := transfer.Parse(req.List.Name, req.List.Text)
	if err != nil {
		return res, badDocument(err, wantList)
	}
	res.Foreign = l.Foreign
	for i, name := range l.Names { // before anything is changed
		if l.Names[i].Name, err = parsePetname(name.Name); err != nil {
			return res, badRequest("reading %s: %w", req.List.Name, err)
		}
	}
	subs, err := n.catalog.Subscriptions(ctx)
	if err != nil {
		return res, err
	}
	for _, s := range l.Subscriptions {
		if err := n.add(ctx, s, req, &subs, &res); err != nil {
			return res, err
		}
	}
	for _, name := range l.Names {
		if !req.Trust { // a word that is typed would go to a channel of a stranger's choice
			res.NamesLeft = append(res.NamesLeft, name.Name)
			continue
		}
		if err := n.addName(ctx, name, &res); err != nil {
			return res, err
		}
	}
	return res, nil
}

// add takes in one subscription of a list; subs are those that are here.
func (n *Node) add(ctx context.Context, s transfer.Subscription, req ImportListRequest, subs *[]catalog.Subscription, res *ImportListResult) error {
	if path := s.Address.Path; path != "" { // other programs may list files
		if len(s.Policy.Paths) == 0 {
			s.Policy.Paths = globsOf(path)
		}
		s.Address.Path = ""
	}
	sub := catalog.Subscription{Topic: s.Topic}
	t := target{topic: s.Topic, address: s.Address}
	folder := s.Topic
	if s.Topic == "" {
		sub.Channel, sub.Address, folder = s.Address.ID, s.Address.StringWithReadKey(), s.Address.ID.String()
	}
	var err error
	if sub.Options, err = json.Marshal(s.Policy); err != nil {
		return fmt.Errorf("encoding a policy: %w", err)
	}
	switch {
	case s.Output == "" || !req.Outputs: // a stranger's list writes nowhere else
		sub.Output = n.folderAmong(*subs, t, folder)
	case !filepath.IsAbs(s.Output):
		return badRequest("subscription to %s: output %q is no absolute path", t, s.Output)
	default:
		sub.Output = filepath.Clean(s.Output)
	}
	same := slices.IndexFunc(*subs, func(x catalog.Subscription) bool { return t.follows(x) && x.Output == sub.Output })
	if same >= 0 {
		here := (*subs)[same]
		before := here
		if here.Topic == "" {
			here.Address = gainKey(here.Address, sub.Address)
		}
		if req.Replace {
			here.Options = sub.Options
		}
		learned, err := n.learn(ctx, s.Address)
		if err != nil {
			return err
		}
		if !learned && here.Address == before.Address && bytes.Equal(here.Options, before.Options) {
			res.There = append(res.There, t.String())
			return nil
		}
		res.Changed = append(res.Changed, t.String())
		(*subs)[same] = here
		return n.change(ctx, here)
	}
	if req.Trust {
		sub.Trust, sub.TrustAll = s.Trust, s.TrustAll
	} else if len(s.Trust) > 0 || s.TrustAll {
		res.TrustLeft = append(res.TrustLeft, t.String())
	}
	if err := subscriber.CheckOutput(sub.Output); err != nil {
		return err
	}
	if sub, err = n.catalog.Subscribe(ctx, sub); err != nil {
		return fmt.Errorf("remembering the subscription to %s: %w", t, err)
	}
	if _, err := n.learn(ctx, s.Address); err != nil {
		return err
	}
	*subs = append(*subs, sub)
	res.Added = append(res.Added, t.String())
	if n.net != nil && n.cfg.Resume { // a daemon goes on with it
		return n.startFollow(sub)
	}
	return nil
}

// addName takes in one petname of a list.
func (n *Node) addName(ctx context.Context, name transfer.Name, res *ImportListResult) error {
	name.Address.Path = "" // names are of channels
	known, err := n.catalog.Petnames(ctx, name.Name)
	if err != nil {
		return err
	}
	address := name.Address.StringWithReadKey()
	if len(known) == 1 && known[0].Channel == name.Address.ID {
		address = gainKey(known[0].Address, address)
		res.NamesThere = append(res.NamesThere, name.Name)
	}
	err = n.catalog.SetPetname(ctx, catalog.Petname{Name: name.Name, Channel: name.Address.ID, Address: address}, false)
	switch {
	case errors.Is(err, catalog.ErrNameTaken):
		res.NamesTaken = append(res.NamesTaken, name.Name)
		return nil
	case err == nil && len(known) == 0:
		res.NamesAdded = append(res.NamesAdded, name.Name)
	}
	return err
}

// gainKey adds the read key of an offered address to one that has none. A key
// that is here is not given up for one of a list.
func gainKey(here, offered string) string {
	if !strings.Contains(here, "#") && strings.HasPrefix(offered, here+"#") {
		return offered
	}
	return here
}
