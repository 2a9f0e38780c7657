# The boot image: QEMU, a Xen hypervisor, and a small Debian as its dom0, to boot loader images in (docs/boot.md).
# Everything is Debian's but the hypervisor: Debian builds it without 32-bit PV guests, so `xen.tar` in the context,
# the sources of Debian's own package, is built with them.
ARG BASE

FROM ${BASE} AS kit
ENV DEBIAN_FRONTEND=noninteractive LC_ALL=C
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      bison cpio flex gcc kmod libc6-dev make python3 xz-utils \
 && rm -rf /var/cache/apt/archives/*.deb

COPY xen.tar xen.config /xen/
RUN cd /xen && mkdir src && tar -xf xen.tar -C src --strip-components=1 --no-same-owner \
 && cp xen.config src/xen/.config \
 && make -C src/xen -j"$(nproc)" XEN_TARGET_ARCH=x86_64 PYTHON=python3 olddefconfig \
 && make -C src/xen -j"$(nproc)" XEN_TARGET_ARCH=x86_64 PYTHON=python3 \
 && grep -q '^CONFIG_PV32=y' src/xen/.config \
 && install -D -m 644 src/xen/xen /kit/xen \
 && install -m 644 src/xen/.config /kit/xen.config \
 && rm -rf src

COPY dom0 /dom0
RUN sh /dom0/make.sh /kit

COPY guest /guest
RUN sh /guest/make.sh /kit/guests

FROM ${BASE}
ENV DEBIAN_FRONTEND=noninteractive LC_ALL=C
# e2fsprogs and btrfs-progs make guest disks without a mount.
RUN apt-get update \
 && apt-get install -y --no-install-recommends btrfs-progs e2fsprogs gzip qemu-system-x86 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/apt /var/log/dpkg.log
RUN useradd --uid 1000 --no-create-home --home-dir /cell --shell /bin/sh build \
 && install -d -o build -g build /cell
COPY --from=kit /kit /kit
RUN dpkg-query -W -f '${Package}:${Architecture}=${Version}\n' | LC_ALL=C sort -u - /kit/packages -o /kit/packages
COPY run /kit/run
# dom0 is started once, here, and its state saved under emulation: each boot test begins where it is up.
RUN mkdir /state && chown build /state
USER build
WORKDIR /cell
RUN sh /kit/run/save.sh /state
