# Two commands do everything: `make run` analyses the project's own captures, `make test` runs every test.

SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
ROOTS := --trust mozilla --trust captures/lab-root.pem --trust captures/lab-root-net.pem

TARGET := $(CURDIR)/target
COMMANDS := read live show certs explain schema completions man
# Of the program as `make profiled` builds it.
HOST := $(shell rustc -vV | sed -n 's/^host: //p')
PROFILED := $(TARGET)/profiled
CARGO_DEB := $(or $(shell command -v cargo-deb),$(HOME)/.cargo/bin/cargo-deb)

.PHONY: run test score lab bench bench-live soak instructions needs build profiled install deb package clean

run: build ## build, and analyse captures/
	./target/release/tlswhy read $(ROOTS) captures

test: needs ## every test; those that need root or a program that is absent say that they are skipped
	cargo test --locked

score: needs ## judge captures/ anew and write captures/SCORE.md; OF=FOLDER: the same of other labelled captures
	TLSWHY_WRITE_SCORE=1 $(if $(OF),TLSWHY_SCORE_OF=$(abspath $(OF))) cargo test --locked --test score

bench: needs ## make large captures, and compare the program with floors and others; BENCH="files --mb 200": a part of it
	cargo bench --locked --bench throughput -- $(BENCH)

bench-live: needs ## replay a capture over veth at rising rates: loss and CPU of live beside a bare libpcap loop (root, tcpreplay)
	cargo bench --locked --bench live

soak: needs ## MINUTES of replayed traffic, and whether anything grew (root, tcpreplay, curl, openssl)
	cargo bench --locked --bench soak -- --minutes $(or $(MINUTES),60)

instructions: needs ## count instructions for a packet and a handshake; fails where they have become more
	@command -v valgrind >/dev/null || { echo "installing valgrind"; \
		$(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends valgrind; }
	cargo bench --locked --bench instructions

lab: ## make the captures anew with real software, into a scratch folder (root, Debian); see captures/README.md
	$(SUDO) python3 captures/make/all.py $(LAB)

build: needs
	cargo build --release --locked

# Every way that a program may take costs the same to a compiler that has not seen it run: here one build of it reads captures,
# and the next is laid out by what was counted. No other source, no other output. Needs rustup.
profiled: needs ## a build that is a tenth faster, and takes thrice as long: $(PROFILED)/$(HOST)/release/tlswhy
	rustup component add llvm-tools
	rm -rf $(PROFILED)/runs
	CARGO_TARGET_DIR=$(PROFILED) RUSTFLAGS=-Cprofile-generate=$(PROFILED)/runs cargo build --release --locked --target $(HOST)
	cargo bench --locked --bench throughput -- files --mb 20 --runs 1 --no-peers --program $(PROFILED)/$(HOST)/release/tlswhy
	$$(rustc --print sysroot)/lib/rustlib/$(HOST)/bin/llvm-profdata merge -o $(PROFILED)/counted $(PROFILED)/runs
	CARGO_TARGET_DIR=$(PROFILED) RUSTFLAGS=-Cprofile-use=$(PROFILED)/counted cargo build --release --locked --target $(HOST)

install: build
	install -Dm755 target/release/tlswhy $(DESTDIR)/usr/local/bin/tlswhy
	./target/release/tlswhy man | install -Dm644 /dev/stdin $(DESTDIR)/usr/local/share/man/man1/tlswhy.1

deb: build $(CARGO_DEB) ## the Debian package, in target/debian/
	$(MAKE) package

# Of the program in $(TARGET)/release as it lies there: nothing is built. DEB: further options of cargo-deb.
package:
	mkdir -p $(TARGET)/release/pages
	$(TARGET)/release/tlswhy man | gzip -9n > $(TARGET)/release/pages/tlswhy.1.gz
	for command in $(COMMANDS); do \
		$(TARGET)/release/tlswhy man $$command | gzip -9n > $(TARGET)/release/pages/tlswhy-$$command.1.gz || exit; \
	done
	for shell in bash zsh fish; do \
		$(TARGET)/release/tlswhy completions $$shell > $(TARGET)/release/pages/tlswhy.$$shell || exit; \
	done
	CARGO_TARGET_DIR=$(TARGET) cargo deb --no-build --strip $(DEB) --output $(TARGET)/debian/

$(CARGO_DEB):
	cargo install --locked cargo-deb --version 3.8.0

needs: ## libpcap's headers and a C compiler, where they are missing
	@if ! [ -e /usr/include/pcap/pcap.h ] || ! command -v cc >/dev/null; then \
		echo "installing libpcap-dev and a C compiler"; \
		$(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends libpcap-dev gcc libc6-dev; \
	fi

clean:
	cargo clean
