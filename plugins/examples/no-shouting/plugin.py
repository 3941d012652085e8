#!/usr/bin/env python3
"""An example of a plugin in Python: it refuses releases that SHOUT, and leaves out files that do.

    apt-get install python3-grpcio python3-cryptography
    aml plugin-test plugins/examples/no-shouting
    aml plugin-install plugins/examples/no-shouting --enable
"""

import aml_plugin as aml


class NoShouting(aml.Plugin):
    id, version = "no-shouting", "1.0.0"
    letters = 8

    def configure(self, setup):
        self.letters = int(setup.config["letters"])  # what is no number is shown to the operator
        if self.letters < 1:
            raise ValueError("letters: want at least 1")

    def shouts(self, text):
        return sum(c.isalpha() for c in text) >= self.letters and text == text.upper()

    def filter_manifest(self, release):
        if self.shouts(release.title):
            return aml.deny("its title shouts")
        loud = [e.name for e in release.entries if self.shouts(e.name)]
        return aml.mask(loud, labels={"tone": "loud" if loud else "calm"})


if __name__ == "__main__":
    aml.serve(NoShouting())
