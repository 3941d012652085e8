package node

import (
	"cmp"
	"context"
)

// FailingInfo is something that a plugin was told to do beside what it is asked, and
// that does not work now.
type FailingInfo struct {
	Kind   string `json:"kind"` // source, document or mirror
	Name   string `json:"name"` // of the source, or the document's file, or the mirror's channel
	Plugin string `json:"plugin,omitempty"`
	Error  string `json:"error"`
	Fails  int    `json:"fails,omitempty"` // in a row
}

// failing lists sources and documents whose last turn failed, sources that had a thing
// which could not be published, and mirrors that are owed something which fails.
func (n *Node) failing(ctx context.Context) []FailingInfo {
	out := []FailingInfo{}
	sources, err := n.sources.bindings.all()
	if err != nil {
		out = append(out, FailingInfo{Kind: "source", Error: err.Error()})
	}
	for _, s := range sources {
		switch {
		case s.Error != "":
			out = append(out, FailingInfo{Kind: "source", Name: s.Name, Plugin: s.Plugin, Error: s.Error, Fails: s.Fails})
		case s.Problem != "":
			out = append(out, FailingInfo{Kind: "source", Name: s.Name, Plugin: s.Plugin, Error: "not published: " + s.Problem})
		}
	}
	documents, err := n.documents.all()
	if err != nil {
		out = append(out, FailingInfo{Kind: "document", Error: err.Error()})
	}
	for _, d := range documents {
		if d.Error != "" {
			out = append(out, FailingInfo{Kind: "document", Name: d.Output, Plugin: d.Plugin, Error: d.Error, Fails: d.Fails})
		}
	}
	mirrors, err := n.mirrorBindings(ctx)
	if err != nil {
		out, mirrors = append(out, FailingInfo{Kind: "mirror", Error: err.Error()}), nil
	}
	for _, b := range mirrors {
		m := MirrorBoundInfo{MirrorBinding: b}
		if err := n.trouble(ctx, &m); err != nil {
			m.Error = err.Error()
		}
		if m.Error != "" {
			out = append(out, FailingInfo{Kind: "mirror", Name: cmp.Or(m.Address, m.Plugin), Plugin: m.Plugin, Error: m.Error})
		}
	}
	return out
}
