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

	"github.com/spf13/viper"
)

// Config is everything that a node can be told. Load fills it.
type Config struct {
	Paths   Paths    // where things are on disk
	Listen  []string // multiaddrs to listen on; none means loopback and LAN, any free port
	Peers   []string // multiaddrs, each ending in /p2p/ID, to know beside discovery
	LAN     bool     // find peers on the local network by mDNS
	DHT     bool     // find peers by the DHT of the peers already known
	Quota   int64    // bytes of blobs to keep; 0 means no limit
	MinFree int64    // bytes that must stay free on the disk; a put that would go below is refused
	Log     string   // debug, info, warn or error
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
		{"listen", []string{}, "multiaddrs to listen on; none: loopback and LAN, any free port"},
		{"peer", []string{}, "multiaddrs of peers to know beside discovery, each ending in /p2p/ID"},
		{"lan", true, "find peers on the local network (mDNS)"},
		{"dht", true, "find peers through the DHT of those already known"},
		{"quota", "10GiB", "how much to keep in the blob store; 0: no limit"},
		{"minfree", "256MiB", "how much of the disk must stay free"},
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
			return Config{}, fmt.Errorf("unknown configuration key %q", name)
		}
		v.Set(name, value)
	}
	return fill(v, paths)
}

func fill(v *viper.Viper, paths Paths) (Config, error) {
	cfg := Config{
		Paths:  paths,
		Listen: list(v, "listen"),
		Peers:  list(v, "peer"),
		Log:    v.GetString("log"),
	}
	var err error
	if cfg.LAN, err = boolean(v, "lan"); err != nil {
		return Config{}, err
	}
	if cfg.DHT, err = boolean(v, "dht"); err != nil {
		return Config{}, err
	}
	if cfg.Quota, err = size(v, "quota"); err != nil {
		return Config{}, err
	}
	if cfg.MinFree, err = size(v, "minfree"); err != nil {
		return Config{}, err
	}
	switch cfg.Log {
	case "debug", "info", "warn", "error":
	default:
		return Config{}, fmt.Errorf("log is %q: want debug, info, warn or error", cfg.Log)
	}
	return cfg, nil
}

// list reads a list that the environment gives as one string, split at commas
// and white space.
func list(v *viper.Viper, key string) []string {
	var out []string
	for _, s := range v.GetStringSlice(key) {
		out = append(out, strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })...)
	}
	return out
}

func boolean(v *viper.Viper, key string) (bool, error) {
	switch s := strings.ToLower(v.GetString(key)); s {
	case "true", "1", "yes", "on":
		return true, nil
	case "false", "0", "no", "off":
		return false, nil
	default:
		return false, fmt.Errorf("%s is %q: want true or false", key, s)
	}
}

func size(v *viper.Viper, key string) (int64, error) {
	n, err := ParseSize(v.GetString(key))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", key, err)
	}
	return n, nil
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

// WriteTemplate writes Template to path with mode 0600 unless a file is there;
// it reports whether it wrote.
func WriteTemplate(path string) (bool, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("writing configuration: %w", err)
	}
	_, err = f.Write(Template())
	if err = errors.Join(err, f.Close()); err != nil {
		return false, fmt.Errorf("writing configuration %s: %w", path, err)
	}
	return true, nil
}
