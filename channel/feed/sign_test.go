package feed

import (
	"crypto/sha256"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// options are the key=value arguments of a command.
type options map[string]string

func (w *world) options(args []string) options {
	o := make(options)
	for _, arg := range args {
		k, v, ok := strings.Cut(arg, "=")
		if !ok {
			w.fatalf("%q is not key=value", arg)
		}
		o[k] = v
	}
	return o
}

func (o options) or(key, def string) string {
	if v, ok := o[key]; ok {
		return v
	}
	return def
}

func (o options) list(key string) []string {
	if o[key] == "" {
		return nil
	}
	return strings.Split(o[key], ",")
}

func (w *world) number(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		w.fatalf("%q is no number", s)
	}
	return n
}

// instant reads a time: RFC 3339, or +3d, -1h30m and the like from now.
func (w *world) instant(s string) time.Time {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t
	}
	days, rest := time.Duration(0), s
	if n, after, ok := strings.Cut(s, "d"); ok {
		i, err := strconv.Atoi(n)
		if err != nil {
			w.fatalf("%q is no time", s)
		}
		days, rest = time.Duration(i)*24*time.Hour, after
	}
	var d time.Duration
	if rest != "" {
		var err error
		if d, err = time.ParseDuration(rest); err != nil {
			w.fatalf("%q is no time", s)
		}
	}
	return w.now.Add(days + d)
}

func (w *world) key(name string) channel.PrivateKey {
	k := channeltest.Key(name)
	w.keys[k.Public()] = name
	return k
}

func (w *world) pub(name string) channel.PublicKey { return w.key(name).Public() }

func (w *world) sign(verb, name string, args []string) {
	o := w.options(args)
	m := made{name: name}
	var env channel.Envelope
	var err error
	switch verb {
	case "root":
		m.root = w.root(o)
		var keys []channel.PrivateKey
		for _, signer := range strings.Split(o.or("sign", "owner"), ",") {
			keys = append(keys, w.key(signer))
		}
		env, err = m.root.Sign(keys...)
	case "manifest":
		m.manifest = w.manifest(o)
		env, err = m.manifest.Sign(w.key(o.or("log", "alice")))
		if by := o["sign"]; by != "" {
			env, err = channel.Sign(channel.TypeManifest, env.Payload, w.key(by))
		}
	case "head":
		h := w.head(o)
		env, err = h.Sign(w.key(o.or("sign", w.keys[h.Log])))
	case "snapshot":
		s := w.snapshot(o, &m)
		payload, perr := s.Encode()
		if perr != nil {
			w.fatalf("%v", perr)
		}
		env, err = channel.Sign(channel.TypeSnapshot, payload, w.key(o.or("sign", w.keys[s.Log])))
	case "corrupt":
		m.envelope = slices.Clone(w.get(o["of"]).envelope)
		m.envelope[len(m.envelope)-1] ^= 1
		m.pages, m.anchor = w.get(o["of"]).pages, w.get(o["of"]).anchor
		w.made[name] = m
		return
	}
	m.envelope, m.hash = channeltest.Encode(w.t, env, err), env.Hash()
	if m.root != nil && m.root.Version == 1 && w.channel.IsZero() {
		w.channel = channel.IDOf(env.Payload)
	}
	w.made[name] = m
}

// root reads publish=KEY[:SCOPE]... head=KEY... root=KEY... threshold=N
// recovery=KEY... recovery-threshold=N expires=TIME class=private nonce=WORD prev=ROOT
// revoke=KEY@MANIFEST (or KEY@none) ends=KEY@TIME sign=KEY...
func (w *world) root(o options) *channel.Root {
	nonce := sha256.Sum256([]byte(o.or("nonce", "nonce")))
	r := &channel.Root{Format: 1, Version: 1, Topics: []string{"test"}, Title: o.or("title", "Test"),
		Class: channel.Class(o.or("class", "public")), Kind: channel.Media, Nonce: nonce[:16],
		Expires: channel.TimeOf(w.instant(o.or("expires", "365d")))}
	r.Root = channel.KeySet{Threshold: w.number(o.or("threshold", "1"))}
	for _, name := range strings.Split(o.or("root", "owner"), ",") {
		r.Root.Keys = append(r.Root.Keys, w.pub(name))
	}
	if names := o.list("recovery"); len(names) > 0 {
		r.Recovery = &channel.KeySet{Threshold: w.number(o.or("recovery-threshold", "1"))}
		for _, name := range names {
			r.Recovery.Keys = append(r.Recovery.Keys, w.pub(name))
		}
		slices.SortFunc(r.Recovery.Keys, channel.PublicKey.Compare)
	}
	slices.SortFunc(r.Root.Keys, channel.PublicKey.Compare)
	for _, name := range strings.Split(o.or("publish", "alice"), ",") {
		name, scope, scoped := strings.Cut(name, ":")
		p := channel.Publisher{Key: w.pub(name), Role: channel.RolePublish}
		if scoped {
			p.Scopes = []string{scope}
		}
		if who, when, ok := strings.Cut(o["ends"], "@"); ok && who == name {
			p.Expires = channel.TimeOf(w.instant(when))
		}
		r.Publishers = append(r.Publishers, p)
	}
	for _, name := range o.list("head") {
		r.Publishers = append(r.Publishers, channel.Publisher{Key: w.pub(name), Role: channel.RoleHead})
	}
	slices.SortFunc(r.Publishers, func(a, b channel.Publisher) int { return a.Key.Compare(b.Key) })
	for _, v := range o.list("revoke") {
		name, last, _ := strings.Cut(v, "@")
		rev := channel.Revoked{Key: w.pub(name)}
		if last != "none" {
			m := w.get(last)
			rev.Seq, rev.Hash = m.manifest.Seq, m.hash
		}
		r.Revoked = append(r.Revoked, rev)
	}
	slices.SortFunc(r.Revoked, func(a, b channel.Revoked) int { return a.Key.Compare(b.Key) })
	if prev := o["prev"]; prev != "" {
		p := w.get(prev)
		hash := p.hash
		r.Version, r.Prev, r.Nonce = p.root.Version+1, &hash, nil
	}
	if v := o["version"]; v != "" {
		r.Version = w.number(v)
	}
	return r
}

// manifest reads log=KEY prev=MANIFEST seq=N root=N epoch=N issued=TIME
// put=NAME... remove=NAME... of=ROOT (whose channel it claims to be of)
func (w *world) manifest(o options) *channel.Manifest {
	m := &channel.Manifest{Format: 1, Channel: w.channel, Root: w.number(o.or("root", "1")), Log: w.pub(o.or("log", "alice")),
		Epoch: w.number(o.or("epoch", "0")), Seq: 1, Issued: channel.TimeOf(w.instant(o.or("issued", "+0s")))}
	if name := o["of"]; name != "" {
		m.Channel = channel.ID(w.get(name).hash)
	}
	if prev := o["prev"]; prev != "" {
		p := w.get(prev)
		hash := p.hash
		m.Prev, m.Seq = &hash, p.manifest.Seq+1
	}
	if v := o["seq"]; v != "" {
		m.Seq = w.number(v)
		if m.Prev == nil && m.Seq > 1 {
			m.Prev = &channel.Hash{1}
		}
	}
	body := channel.Body{Title: o.or("title", "Release")}
	for _, name := range o.list("put") {
		body.Entries = append(body.Entries, channeltest.Entry(name, 1000))
	}
	for _, name := range o.list("remove") {
		body.Removals = append(body.Removals, channel.Removal{Name: name})
	}
	body.Sort()
	if o["sealed"] != "" {
		m.Sealed = []byte(strings.Repeat("sealed ", 16))
	} else {
		m.Body = &body
	}
	return m
}

// head reads of=MANIFEST seq=N root=N issued=TIME life=DURATION sign=KEY
func (w *world) head(o options) *channel.Head {
	m := w.get(o["of"])
	issued := w.instant(o.or("issued", "+0s"))
	save := w.now
	w.now = issued
	expires := w.instant(o.or("life", "14d"))
	w.now = save
	h := &channel.Head{Format: 1, Channel: m.manifest.Channel, Root: m.manifest.Root, Log: m.manifest.Log, Epoch: m.manifest.Epoch,
		Seq: m.manifest.Seq, Hash: m.hash, Issued: channel.TimeOf(issued), Expires: channel.TimeOf(expires)}
	if v := o["seq"]; v != "" {
		h.Seq = w.number(v)
	}
	if v := o["root"]; v != "" {
		h.Root = w.number(v)
	}
	return h
}
