// Package config turns the configuration file, the environment and the command
// line's flags into one struct, in which each key has a default and a sentence
// that documents it (Keys).
//
// It is the only room that knows viper. It must never open the network, create
// a folder, or hold a secret: keys live in files of their own.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/viper"

	"github.com/anonymous-media-library/aml/internal/disk"
	"github.com/anonymous-media-library/aml/internal/wholefile"
)

// Config is everything that a node can be told. Load fills it.
type Config struct {
	Paths Paths  // where things are on disk
	Log   string // debug, info, warn or error

	Listen   []string // multiaddrs to listen on; none means loopback and LAN, any free port
	Announce []string // multiaddrs to tell peers beside those listened on
	Peers    []string // multiaddrs, each ending in /p2p/ID, and ws:// or http:// URLs, to know beside discovery
	LAN      bool     // find peers on the local network by mDNS
	DHT      bool     // find peers by the DHT of the peers already known

	Punch      bool          // find out how this node is reachable, punch holes, use relays
	Relays     []string      // multiaddrs of relays to use, each ending in /p2p/ID
	Relay      string        // what to relay for others: off, coordinate, or bytes per second of bulk
	WS         string        // host:port or port of the WebSocket bridge; empty: none
	HTTP       string        // host:port or port of the HTTP mirror; empty: none
	MaxIn      int           // connections that peers may open to this node
	MaxOut     int           // connections that this node opens
	Upload     string        // limits of uploads, see package blobnet/limit; empty: none
	Download   string        // limits of downloads, the same
	Reannounce time.Duration // how often trackers and the LAN are told again what is here

	Quota     Quota // of blobs to keep
	MinFree   int64 // bytes that must stay free on the disk; a put that would go below is refused
	Scrub     int64 // bytes per second at which a daemon checks what it stores; 0 means it does not
	KeepBlobs bool  // keep a copy of fetched blobs in the store beside the files written out
}

// Key documents one key of the configuration file. The environment variable is
// AML_ and the name in capitals; the flag is the name.
type Key struct {
	Name    string
	Default any
	Doc     string
}

// Keys returns every key of the configuration file, in the order in which
// `aml init` writes them.
func Keys() []Key {
	return []Key{
		{"listen", []string{}, "multiaddrs to listen on: tcp, udp/quic-v1, ws, webtransport, webrtc-direct; none: loopback and LAN by TCP, any free port"},
		{"announce", []string{}, "multiaddrs to tell peers beside those listened on, such as a port that a router forwards"},
		{"peer", []string{}, "peers to know beside discovery: multiaddrs ending in /p2p/ID, ws:// and http(s):// URLs"},
		{"lan", true, "find peers on the local network (mDNS)"},
		{"dht", true, "find peers through the DHT of those already known"},
		{"punch", false, "ask peers how this node is reachable, punch holes through NATs, use relays"},
		{"relays", []string{}, "multiaddrs of relays to be reachable through, each ending in /p2p/ID (with punch)"},
		{"relay", "off", "what to relay for others: off, coordinate (hole punching only), or a rate such as 1MiB for bulk"},
		{"ws", "", "port, or host:port, at which to serve blobs by WebSocket; empty: not at all"},
		{"http", "", "port, or host:port, at which to serve blobs by HTTP; empty: not at all"},
		{"maxin", 384, "how many connections peers may open to this node"},
		{"maxout", 128, "how many connections this node opens"},
		{"upload", "", "upload limits per second, such as 5MiB,peer=1MiB,mon-fri 08:00-18:00=500KiB; empty: none"},
		{"download", "", "download limits per second, such as 10MiB,prefetch=1MiB; empty: none"},
		{"reannounce", "15m", "how often the LAN and static peers are told again what is here"},
		{"quota", "10GiB", "how much to keep in the blob store, in bytes or as part of the disk such as 20%; 0: no limit"},
		{"minfree", "256MiB", "how much of the disk must stay free"},
		{"scrub", "0", "bytes per second at which a daemon checks what it stores; 0: it does not"},
		{"keepblobs", false, "keep a copy of fetched blobs in the store, beside the files written out"},
		{"log", "warn", "least severe log line to show: debug, info, warn, error"},
	}
}

// Flags are the values that were set on the command line, by key name; a key
// that is absent was not set. Home is the --home flag, empty if not given.
type Flags struct {
	Home   string
	Values map[string]any
}

// Load reads the configuration: flags before environment before file before
// default. A file that is not there counts as empty; one with an unknown key
// or a value of the wrong kind is an error that names the file and the key.
func Load(flags Flags) (Config, error) {
	paths, err := FindPaths(flags.Home)
	if err != nil {
		return Config{}, err
	}
	if info, err := os.Stat(paths.Home); err == nil && !info.IsDir() {
		return Config{}, fmt.Errorf("home %s is a file; name a folder, which is made if it is not there", paths.Home)
	}
	if err := disk.Regular(paths.Config); err != nil {
		return Config{}, fmt.Errorf("reading configuration: %w", err)
	}
	v := viper.New()
	v.SetConfigFile(paths.Config)
	v.SetConfigType("yaml")
	known := map[string]bool{}
	for _, k := range Keys() {
		known[k.Name] = true
		v.SetDefault(k.Name, k.Default)
		if err := v.BindEnv(k.Name, "AML_"+strings.ToUpper(k.Name)); err != nil {
			return Config{}, fmt.Errorf("binding AML_%s: %w", strings.ToUpper(k.Name), err)
		}
	}
	if err := v.ReadInConfig(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Config{}, fmt.Errorf("reading configuration %s: %w", paths.Config, err)
	}
	for _, k := range v.AllKeys() {
		if !known[k] {
			return Config{}, fmt.Errorf("configuration %s: unknown key %q; `aml init --help` lists the keys", paths.Config, k)
		}
	}
	for name, value := range flags.Values {
		if !known[name] {
			return Config{}, fmt.Errorf("--set: unknown configuration key %q; `aml init --help` lists the keys", name)
		}
		v.Set(name, value)
	}
	return fill(v, paths, func(key string) string {
		if _, set := flags.Values[key]; set {
			return "--set or --" + key
		}
		if name := "AML_" + strings.ToUpper(key); os.Getenv(name) != "" {
			return "environment variable " + name
		}
		return "configuration " + paths.Config
	})
}

func fill(v *viper.Viper, paths Paths, from func(key string) string) (Config, error) {
	r := reader{v: v, from: from}
	cfg := Config{
		Paths:      paths,
		Log:        v.GetString("log"),
		Listen:     list(v, "listen"),
		Announce:   list(v, "announce"),
		Peers:      list(v, "peer"),
		LAN:        r.boolean("lan"),
		DHT:        r.boolean("dht"),
		Punch:      r.boolean("punch"),
		Relays:     list(v, "relays"),
		Relay:      v.GetString("relay"),
		WS:         v.GetString("ws"),
		HTTP:       v.GetString("http"),
		MaxIn:      r.count("maxin"),
		MaxOut:     r.count("maxout"),
		Upload:     r.terms("upload"),
		Download:   r.terms("download"),
		Reannounce: r.duration("reannounce"),
		Quota:      r.quota("quota"),
		MinFree:    r.size("minfree"),
		Scrub:      r.size("scrub"),
		KeepBlobs:  r.boolean("keepblobs"),
	}
	switch cfg.Log {
	case "debug", "info", "warn", "error":
	default:
		r.fail("log", "log is %q: want debug, info, warn or error", cfg.Log)
	}
	return cfg, r.err
}

// Template returns a configuration file in which every key stands commented
// out with its default and its sentence.
func Template() []byte {
	var b strings.Builder
	b.WriteString("# aml configuration. Flags go before AML_ environment variables, those before\n# this file, this file before the defaults shown.\n")
	for _, k := range Keys() {
		value := fmt.Sprint(k.Default)
		if l, ok := k.Default.([]string); ok {
			value = "[" + strings.Join(l, ", ") + "]"
		}
		fmt.Fprintf(&b, "\n# %s\n#%s: %s\n", k.Doc, k.Name, value)
	}
	return []byte(b.String())
}

// WriteTemplate writes Template to path with mode 0600, whole or not at all, unless a
// file is there; it reports whether it wrote. An empty file is an error.
func WriteTemplate(path string) (bool, error) {
	info, err := os.Lstat(path)
	switch {
	case err == nil && info.Mode().IsRegular() && info.Size() == 0:
		return false, fmt.Errorf("configuration %s is empty, as a full disk leaves a file; delete it, and `aml init` writes it", path)
	case err == nil:
		return false, nil
	case !errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("writing configuration: %w", err)
	}
	if err := wholefile.Replace(path, Template()); err != nil {
		var perr *fs.PathError
		if errors.As(err, &perr) { // the name of the unfinished file says nothing to anybody
			err = perr.Err
		}
		return false, fmt.Errorf("writing configuration %s: %w", path, err)
	}
	return true, nil
}
