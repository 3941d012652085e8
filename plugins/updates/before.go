package updates

import (
	"context"
	"encoding/base64"
	"fmt"

	"github.com/anonymous-media-library/aml/plugins/sdk"
	"github.com/anonymous-media-library/aml/updates"
)

// attrSignature is where a build's signature for Sparkle is: 64 bytes in base64.
const attrSignature = "edSignature"

// beforePublish refuses a draft that is no sound next version of what the channel has. A
// draft without a version is nobody's business here, unless the
// channel is one for software alone.
func (p *plugin) beforePublish(_ context.Context, id string, d *sdk.Draft) error {
	var files []file
	for _, f := range d.Files {
		files = append(files, file{f.GetName(), f.Size, f.Sha256, f.Attrs})
	}
	next, ok, err := updates.Parse(bodyOf(d.Title, d.Description, d.Metadata, files))
	switch {
	case err != nil:
		return sdk.Denied(err.Error())
	case !ok && p.channels[id] && len(d.Files) > 0:
		return sdk.Denied("this channel is for software: give the release a " + updates.KeyVersion + " in its metadata")
	case !ok:
		return nil
	}
	if p.signed {
		for _, b := range next.Builds {
			if sig, err := base64.StdEncoding.DecodeString(b.Entry.Attrs[attrSignature]); err != nil || len(sig) != 64 {
				return sdk.Denied(fmt.Sprintf("file %q is not signed: its attribute %s has to be 64 bytes in base64", b.Entry.Name, attrSignature))
			}
		}
	}
	if err := updates.CheckNext(versions(d.Earlier), next); err != nil {
		return sdk.Denied(err.Error())
	}
	return nil
}
