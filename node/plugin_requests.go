package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/keyfile"
	"github.com/anonymous-media-library/aml/internal/size"
	"github.com/anonymous-media-library/aml/internal/unpack"
	"github.com/anonymous-media-library/aml/mirror/fill"
	"github.com/anonymous-media-library/aml/plugins"
	"github.com/anonymous-media-library/aml/plugins/bundled"
	"github.com/anonymous-media-library/aml/plugins/confine"
	plughost "github.com/anonymous-media-library/aml/plugins/host"
	"github.com/anonymous-media-library/aml/plugins/shelf"
)

// PluginGrant is what an operator decides about a plugin.
type PluginGrant struct {
	Grant    []string `json:"grant"`    // capabilities; "all" for those that it declares
	Paths    []string `json:"paths"`    // absolute: what the capability files opens; none: everything
	Enable   bool     `json:"enable"`   //
	Partial  bool     `json:"partial"`  // also if something that it declares is not granted
	Priority *int     `json:"priority"` // nil: as before
	Memory   string   `json:"memory"`   // such as 256MiB; empty: as before
	State    string   `json:"state"`    // how much it may keep, such as 4GiB; empty: as before
}

// PluginInstallRequest names a plugin: the absolute path of a folder or an
// archive, aml://CHANNEL/name of an archive in a channel that is known here, or
// bundled:ID.
type PluginInstallRequest struct {
	From string `json:"from"`
	PluginGrant
}

// PluginRequest names an installed plugin.
type PluginRequest struct {
	ID string `json:"id"`
	PluginGrant
}

// PluginConfigRequest sets and unsets values.
type PluginConfigRequest struct {
	ID    string            `json:"id"`
	Set   map[string]string `json:"set"`
	Unset []string          `json:"unset"`
}

// PluginRemoveRequest takes a plugin away, with State also what it has kept.
type PluginRemoveRequest struct {
	ID    string `json:"id"`
	State bool   `json:"state"`

	Anyway bool `json:"anyway"` // with State: also if it holds keys of this home
}

// PluginInfo is all about one plugin.
type PluginInfo struct {
	ID           string             `json:"id"`
	Version      string             `json:"version"`
	Title        string             `json:"title"`
	Description  string             `json:"description"`
	Hooks        []plugins.Hook     `json:"hooks"`
	Capabilities []PluginCapability `json:"capabilities"`
	Paths        []string           `json:"paths"`
	Enabled      bool               `json:"enabled"`
	Off          string             `json:"off,omitempty"`   // why it is, though it is enabled
	Error        string             `json:"error,omitempty"` // why it cannot be used
	Priority     int                `json:"priority"`
	Memory       int64              `json:"memory"`
	State        int64              `json:"state"` // bytes that it may keep in its folder
	Source       string             `json:"source"`
	Bundled      bool               `json:"bundled"` // it is a part of aml
	Installed    channel.Time       `json:"installed"`
	Folder       string             `json:"folder"` // empty for a bundled one
	Config       []PluginSetting    `json:"config"`
	Unenforced   []string           `json:"unenforced"` // what this system cannot keep it from
	Run          *PluginStatus      `json:"run,omitempty"`
	Replaces     *PluginReplaced    `json:"replaces,omitempty"` // when it is installed: what had its place
}

// PluginReplaced is what an installed plugin took the place of.
type PluginReplaced = shelf.Replaced

// PluginStatus is what a plugin does at the moment.
type PluginStatus = plughost.Status

// PluginStats counts the calls of one hook.
type PluginStats = plughost.Stats

// PluginCapability is one that a plugin declares.
type PluginCapability struct {
	Name    plugins.Capability `json:"name"`
	Means   string             `json:"means"`
	Granted bool               `json:"granted"`
}

// PluginSetting is a value of a plugin's configuration. That of a secret is not
// shown.
type PluginSetting struct {
	Key      string `json:"key"`
	Doc      string `json:"doc"`
	Value    string `json:"value"`
	Set      bool   `json:"set"`
	Required bool   `json:"required"`
	Secret   bool   `json:"secret"`
}

// PluginListResult lists plugins in the order of their ids.
type PluginListResult struct {
	Plugins []PluginInfo    `json:"plugins"`
	Bundled []BundledPlugin `json:"bundled"` // what is a part of aml, installed or not
}

// BundledPlugin is a plugin that is a part of aml.
type BundledPlugin struct {
	ID           string               `json:"id"`
	Version      string               `json:"version"`
	Title        string               `json:"title"`
	Description  string               `json:"description"`
	Hooks        []plugins.Hook       `json:"hooks"`
	Capabilities []plugins.Capability `json:"capabilities"`
	Installed    bool                 `json:"installed"`
}

// PluginInstall puts a plugin on the shelf. It is not run before it is enabled.
func (n *Node) PluginInstall(ctx context.Context, req PluginInstallRequest, emit func(any)) (PluginInfo, error) {
	path, source := req.From, req.From
	if id, ok := strings.CutPrefix(req.From, BundledMark); ok {
		st, err := n.plugins.shelf.StageBundled(id)
		if err != nil {
			return PluginInfo{}, err
		}
		return n.installPlugin(st, source, req.PluginGrant)
	}
	if strings.HasPrefix(req.From, "aml://") || strings.HasPrefix(req.From, petnameMark) {
		fetched, channel, err := n.fetchPlugin(ctx, req.From, emit)
		if err != nil {
			return PluginInfo{}, fmt.Errorf("fetching the plugin: %w", err)
		}
		defer os.RemoveAll(filepath.Dir(fetched))
		path, source = fetched, channel
	} else if !filepath.IsAbs(path) {
		return PluginInfo{}, badRequest("path %q is not absolute", path)
	}
	st, err := n.plugins.shelf.Stage(ctx, path)
	if errors.Is(err, plugins.ErrManifest) || errors.Is(err, plugins.ErrFolder) || errors.Is(err, unpack.ErrArchive) {
		return PluginInfo{}, badDocument(err, wantPlugin)
	}
	if err != nil {
		return PluginInfo{}, err
	}
	defer st.Close() // what is left is removed by the next Open too
	return n.installPlugin(st, source, req.PluginGrant)
}

// BundledMark is what the name of a bundled plugin begins with where it is
// installed from.
const BundledMark = shelf.Bundled

func (n *Node) installPlugin(st *shelf.Staged, source string, g PluginGrant) (PluginInfo, error) {
	if _, err := st.Install(source, func(p *plugins.Installed) error { return decide(p, st.Manifest, g) }); err != nil {
		return PluginInfo{}, err
	}
	info, err := n.pluginChanged(st.Manifest.ID)
	info.Replaces = st.Replaces(source)
	return info, err
}

// decide applies an operator's word.
func decide(p *plugins.Installed, m plugins.Manifest, g PluginGrant) error {
	if _, _, err := m.Binary(runtime.GOOS + "/" + runtime.GOARCH); err != nil {
		return err
	}
	for _, name := range g.Grant {
		if name == "all" {
			p.Granted = slices.Clone(m.Capabilities)
			continue
		}
		c := plugins.Capability(name)
		if !slices.Contains(m.Capabilities, c) {
			return badRequest("%s does not ask for %q; it asks for %v", m.ID, name, m.Capabilities)
		}
		if !p.Has(c) {
			p.Granted = append(p.Granted, c)
		}
	}
	if len(g.Paths) > 0 && !p.Has(plugins.Files) {
		return badRequest("paths are for the capability %s, which is not granted", plugins.Files)
	}
	for _, path := range g.Paths {
		if !filepath.IsAbs(path) {
			return badRequest("path %q is not absolute", path)
		}
		if _, err := os.Stat(path); err != nil { // it could not be opened for the plugin
			return fmt.Errorf("%s: a path that the capability %s opens has to be there: %w", m.ID, plugins.Files, err)
		}
	}
	if len(g.Paths) > 0 {
		p.Paths = g.Paths
	}
	if g.Priority != nil {
		if n := *g.Priority; n < -plugins.MaxPriority || n > plugins.MaxPriority {
			return badRequest("priority %d: want %d to %d", n, -plugins.MaxPriority, plugins.MaxPriority)
		}
		p.Priority = g.Priority
	}
	if g.Memory != "" {
		n, err := size.Parse(g.Memory)
		if err != nil || n < plugins.MinMemory || n > plugins.MaxMemory {
			return badRequest("memory %q: want %s to %s", g.Memory, size.Format(plugins.MinMemory), size.Format(plugins.MaxMemory))
		}
		p.Memory = n
	}
	if g.State != "" {
		n, err := size.Parse(g.State)
		if err != nil || n <= 0 {
			return badRequest("state size %q: want one such as %s", g.State, size.Format(plugins.DefaultState))
		}
		p.State = n
	}
	if !g.Enable {
		return nil
	}
	if missing := p.Missing(m); len(missing) > 0 && !g.Partial {
		return fmt.Errorf("%s: %w: %v; grant them (--grant) or run it without (--partial)", m.ID, plugins.ErrNotGranted, missing)
	}
	if _, err := m.Settings(p.Config); err != nil {
		return err
	}
	p.Enabled, p.Off = true, nil
	return nil
}

// pluginChanged makes what runs what the shelf says, and returns what it says of one.
func (n *Node) pluginChanged(id string) (PluginInfo, error) {
	err := n.makeSockets()
	if err == nil {
		err = n.plugins.host.Sync()
	}
	if err != nil {
		return PluginInfo{}, err
	}
	n.filling.each(func(plugin string, f *fill.Filler) {
		if plugin == id {
			f.Changed()
		}
	})
	p, err := n.plugins.shelf.Get(id)
	if err != nil {
		return PluginInfo{}, err
	}
	return n.pluginInfo(p), nil
}

func (n *Node) pluginInfo(p shelf.Plugin) PluginInfo {
	m := p.Manifest
	info := PluginInfo{
		ID: p.ID, Version: p.Version, Title: m.Title, Description: m.Description, Hooks: m.Hooks, Paths: p.Paths, Enabled: p.Enabled,
		Priority: m.Priority, Memory: p.Memory, State: p.StateLimit(), Source: p.Source, Installed: channel.TimeOf(p.Installed.Installed),
		Bundled: p.Bundled, Capabilities: []PluginCapability{}, Config: []PluginSetting{}, Unenforced: confine.Can().Missing(),
	}
	if !p.Bundled {
		info.Folder = n.plugins.shelf.Folder(p.Installed)
	}
	if p.Priority != nil {
		info.Priority = *p.Priority
	}
	if want, err := m.MemoryLimit(); err == nil {
		info.Memory = cmp.Or(p.Memory, want)
	}
	if p.Off != nil {
		info.Off = p.Off.Reason
	}
	if p.Err != nil {
		info.Error = p.Err.Error()
	}
	for _, c := range m.Capabilities {
		info.Capabilities = append(info.Capabilities, PluginCapability{Name: c, Means: c.Means(), Granted: p.Has(c)})
	}
	for _, s := range m.Config {
		value, set := p.Config[s.Key]
		if !set {
			value = s.Default
		}
		if s.Secret {
			value = ""
		}
		info.Config = append(info.Config, PluginSetting{Key: s.Key, Doc: s.Doc, Value: value, Set: set, Required: s.Required, Secret: s.Secret})
	}
	for _, s := range n.plugins.host.Status() {
		if s.ID == p.ID {
			info.Run = &s
		}
	}
	return info
}

// PluginList tells of all plugins, also whose files are not as they were installed.
func (n *Node) PluginList(ctx context.Context, _ None, _ func(any)) (PluginListResult, error) {
	list, err := n.plugins.shelf.List()
	out := PluginListResult{Plugins: []PluginInfo{}, Bundled: []BundledPlugin{}}
	for _, p := range list {
		info := n.pluginInfo(p)
		if info.Error == "" {
			info.Error = firstOf(n.plugins.shelf.Verify(ctx, p.ID))
		}
		out.Plugins = append(out.Plugins, info)
	}
	for _, text := range bundled.Manifests() {
		m, bad := plugins.ParseManifest(text)
		if bad != nil {
			return out, bad
		}
		out.Bundled = append(out.Bundled, BundledPlugin{
			ID: m.ID, Version: m.Version, Title: m.Title, Description: m.Description, Hooks: m.Hooks, Capabilities: m.Capabilities,
			Installed: slices.ContainsFunc(list, func(p shelf.Plugin) bool { return p.Bundled && p.ID == m.ID }),
		})
	}
	slices.SortFunc(out.Bundled, func(a, b BundledPlugin) int { return cmp.Compare(a.ID, b.ID) })
	return out, err
}

// firstOf is what is wrong in one line, where plugin-verify has a line for each file.
func firstOf(err error) string {
	if err == nil {
		return ""
	}
	first, rest, _ := strings.Cut(err.Error(), "\n")
	if rest != "" {
		first += fmt.Sprintf(", and %d more; see plugin-verify", 1+strings.Count(rest, "\n"))
	}
	return first
}

// PluginEnable lets a plugin run, with what is granted.
func (n *Node) PluginEnable(ctx context.Context, req PluginRequest, _ func(any)) (PluginInfo, error) {
	req.Enable = true
	if err := n.plugins.shelf.Verify(ctx, req.ID); err != nil { // it would not start
		return PluginInfo{}, err
	}
	err := n.plugins.shelf.Change(req.ID, func(p *plugins.Installed, m plugins.Manifest) error { return decide(p, m, req.PluginGrant) })
	if err != nil {
		return PluginInfo{}, err
	}
	return n.pluginChanged(req.ID)
}

// PluginDisable ends a plugin. What it was granted stays granted.
func (n *Node) PluginDisable(_ context.Context, req PluginRequest, _ func(any)) (PluginInfo, error) {
	err := n.plugins.shelf.Change(req.ID, func(p *plugins.Installed, _ plugins.Manifest) error {
		p.Enabled, p.Off = false, nil
		return nil
	})
	if err != nil {
		return PluginInfo{}, err
	}
	return n.pluginChanged(req.ID)
}

// settingsOf refuses to set what a plugin does not know, and to unset what is
// neither known to it nor set from a version that knew it.
func settingsOf(m plugins.Manifest, set map[string]string, req PluginConfigRequest) error {
	var known []string
	for _, s := range m.Config {
		known = append(known, s.Key)
	}
	for _, key := range append(slices.Sorted(maps.Keys(req.Set)), req.Unset...) {
		_, old := set[key]
		_, new := req.Set[key]
		switch {
		case slices.Contains(known, key) || old && !new:
		case len(known) == 0:
			return badRequest("%s has no setting %q; it has none at all", m.ID, key)
		default:
			return badRequest("%s has no setting %q; it has %s", m.ID, key, strings.Join(known, ", "))
		}
	}
	return nil
}

// PluginConfig sets values. One that runs is started again with them.
func (n *Node) PluginConfig(_ context.Context, req PluginConfigRequest, _ func(any)) (PluginInfo, error) {
	if len(req.Set)+len(req.Unset) > 0 {
		err := n.plugins.shelf.Change(req.ID, func(p *plugins.Installed, m plugins.Manifest) error {
			if err := settingsOf(m, p.Config, req); err != nil {
				return err
			}
			if p.Config == nil {
				p.Config = map[string]string{}
			}
			for key, value := range req.Set {
				p.Config[key] = value
			}
			for _, key := range req.Unset {
				delete(p.Config, key)
			}
			_, err := m.Settings(p.Config)
			if errors.Is(err, plugins.ErrConfig) && !p.Enabled { // not all may be set yet
				return nil
			}
			return err
		})
		if err != nil {
			return PluginInfo{}, err
		}
	}
	return n.pluginChanged(req.ID)
}

// PluginRemove ends a plugin and takes it away.
func (n *Node) PluginRemove(ctx context.Context, req PluginRemoveRequest, _ func(any)) (None, error) {
	if files := n.keysHeldBy(req.ID); req.State && !req.Anyway && len(files) > 0 {
		return None{}, badRequest("plugin %s holds keys of this home, whose private halves may lie in what it has kept: %s; take those files away first, or give --anyway", req.ID, strings.Join(files, ", "))
	}
	// Also one whose files were changed, which Change refuses.
	_ = n.plugins.shelf.Change(req.ID, func(p *plugins.Installed, _ plugins.Manifest) error {
		p.Enabled = false
		return nil
	})
	// Without a lock nothing runs, and taking away what it has listed is how to begin anew.
	if err := n.plugins.host.Sync(); err != nil && !errors.Is(err, plugins.ErrLock) {
		return None{}, err
	}
	if err := n.plugins.shelf.Remove(req.ID, req.State); err != nil {
		return None{}, err
	}
	err := n.plugins.host.Sync()
	if errors.Is(err, plugins.ErrLock) {
		err = nil // it is told where it matters
	}
	return None{}, errors.Join(err, n.forgetMirror(ctx, req.ID))
}

// keysHeldBy are the files of the ring's keys that a plugin holds.
func (n *Node) keysHeldBy(plugin string) (files []string) {
	for _, k := range n.keys() {
		if holder, err := keyfile.Plugin(k.file); err == nil && holder == plugin {
			files = append(files, k.file)
		}
	}
	return files
}

// PluginVerify compares a plugin's files with the lock; without an id, all
// plugins'.
func (n *Node) PluginVerify(ctx context.Context, req PluginRequest, _ func(any)) (PluginListResult, error) {
	list, err := n.plugins.shelf.List()
	if err != nil {
		return PluginListResult{}, err
	}
	var out PluginListResult
	var errs []error
	for _, p := range list {
		if req.ID != "" && p.ID != req.ID {
			continue
		}
		errs = append(errs, n.plugins.shelf.Verify(ctx, p.ID))
		out.Plugins = append(out.Plugins, n.pluginInfo(p))
	}
	if req.ID != "" && len(out.Plugins) == 0 {
		_, err := n.plugins.shelf.Get(req.ID)
		return out, err
	}
	return out, errors.Join(errs...)
}

// maxLogLines is how much of a log is told.
const maxLogLines = 1000
