# SPDX-License-Identifier: Apache-2.0
# Makefile: the front door. Every goal is one script in tools/; Meson and Ninja build underneath.
# Variables: PREFIX (where to install), SECONDS (fuzzing time per target), V=1 (show what the tools print).

SHELL := /bin/bash
SECONDS := 60
export V

.DEFAULT_GOAL := help
.PHONY: help run stop deps build image install test test-unit test-style test-security test-process test-vm style bench bench-net fuzz clean

help: ## this list
	@echo 'Caisson: Docker containers in a sealed virtual machine'
	@echo
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | awk -F'|' '{ printf "  make %-14s %s\n", $$1, $$2 }'
	@echo
	@echo '  PREFIX=DIR  where run and install put the product (root: /opt/caisson, others: ~/.local)'

run: ## install what is missing, build, start the desktop, run a container
	@tools/run

stop: ## stop the desktop that "make run" started
	@tools/stop

deps: ## install the host packages needed to build and run (asks for sudo)
	@tools/deps run

build: ## build the programs into build/
	@tools/build

image: ## build the sealed VM image into the cache, or verify the one that is there
	@tools/image

install: ## build and install to PREFIX
	@tools/install

test: ## install what tests need and run all of them
	@tools/test

test-unit: ## unit tests and fuzz corpora under ASan and UBSan, threads under TSan
	@tools/test unit

test-style: ## room, budget and comment rules
	@tools/test style

style: test-style ## the same as test-style

test-security: ## hardening of the built programs
	@tools/test security

test-process: ## the host processes with fakes around them
	@tools/test process

test-vm: ## everything that needs the machine
	@tools/test vm

bench: ## measure, against a baseline in the same run
	@tools/bench

bench-net: ## the network process against passt and slirp4netns (as root)
	@tools/bench net

fuzz: ## run every fuzz target for SECONDS=60 each
	@tools/fuzz '$(SECONDS)'

clean: ## remove the build directories (the cache stays: ~/.cache/caisson)
	@rm -rf build build-asan build-tsan build-fuzz
