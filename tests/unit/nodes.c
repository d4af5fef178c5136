/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nodes.c - one nodeid per inode: ops/nodes.c against a model of libfuse,
 * which numbers (parent, name) pairs, counts lookups, drops a node at 0, and
 * gives the same name a new number afterwards.  What must hold: the count is
 * the kernel's at all times, a freed inode number gets a new node, a reply
 * that was not wanted leaves nothing, and in the end nothing is left.
 */
#include "ops/nodes.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "../tap.h"

/* ---- the model of libfuse ---- */

#define MODEL	65536

static pthread_mutex_t model_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t model_id[MODEL], model_count[MODEL];	/* by token % MODEL */
static uint64_t model_token[MODEL], model_last = 1;
static unsigned model_faults;

static uint64_t model_lookup(uint64_t token)
{
	unsigned i = token % MODEL;
	uint64_t id;

	pthread_mutex_lock(&model_lock);
	if (!model_count[i]) {
		model_token[i] = token;
		model_id[i] = ++model_last;
	} else if (model_token[i] != token) {
		model_faults++;		/* the test is too large */
	}
	model_count[i]++;
	id = model_id[i];
	pthread_mutex_unlock(&model_lock);
	return id;
}

static void model_forget(uint64_t token, uint64_t nodeid, uint64_t n)
{
	unsigned i = token % MODEL;

	pthread_mutex_lock(&model_lock);
	if (model_token[i] != token || model_id[i] != nodeid ||
	    model_count[i] < n)
		model_faults++;
	else
		model_count[i] -= n;
	pthread_mutex_unlock(&model_lock);
}

/* ---- one thread's checks ---- */

static __thread void *kept;

static uint64_t lookup(struct nodes *ns, uint32_t ino, uint32_t gen)
{
	struct node_ref ref;
	struct node *n;
	uint64_t id;

	if (nodes_pin(ns, ino, gen, &n))
		return 0;
	nodes_ref(ns, n, &ref);
	id = model_lookup(ref.token);
	nodes_count(ns, n, id);
	nodes_unpin(ns, n);
	return id;
}

static void forget(struct nodes *ns, uint64_t id, uint64_t n)
{
	struct node_ref ref;

	if (!nodes_find(ns, id, &ref)) {
		model_faults++;
		return;
	}
	n = nodes_forget(ns, id, n, &kept);
	model_forget(ref.token, id, n);
}

static void test_counts(void)
{
	struct nodes *ns = nodes_new();
	struct node_ref ref;
	uint64_t a, b;

	ok(nodes_find(ns, NODE_ROOT_ID, &ref) && ref.ino == NODE_ROOT_INO,
	   "the root is there");
	ok(!nodes_find(ns, 77, &ref), "an unknown nodeid is not found");
	a = lookup(ns, 12, 5);
	b = lookup(ns, 12, 5);
	is(a, b, "two lookups of an inode give one nodeid");
	ok(lookup(ns, 13, 5) != a, "another inode has another");
	is(nodes_left(ns), 2, "two nodes");
	is(nodes_forget(ns, 4711, 1, &kept), 0, "an unknown nodeid cannot be forgotten");
	is(nodes_forget(ns, NODE_ROOT_ID, 1, &kept), 0, "nor the root");
	forget(ns, a, 1);
	ok(nodes_find(ns, a, &ref) && ref.ino == 12 && ref.gen == 5,
	   "one of two lookups forgotten: still there");
	is(nodes_forget(ns, a, 9, &kept), 1, "no more is forgotten than was counted");
	model_forget(ref.token, a, 1);
	ok(!nodes_find(ns, a, &ref), "gone");
	is(nodes_left(ns), 1, "one node left");
	ok(lookup(ns, 12, 5) != a, "a new node for the same inode");
	nodes_free(ns);
}

static void test_interrupted(void)
{
	struct nodes *ns = nodes_new();
	struct node_ref ref;
	struct node *n;
	uint64_t id;

	nodes_pin(ns, 20, 1, &n);
	nodes_ref(ns, n, &ref);
	id = model_lookup(ref.token);
	nodes_count(ns, n, id);
	nodes_uncount(ns, id, &kept);
	model_forget(ref.token, id, 1);
	ok(!nodes_find(ns, id, &ref), "an unwanted reply gives no node");
	is(nodes_left(ns), 1, "pinned, it stays");
	nodes_ref(ns, n, &ref);
	id = model_lookup(ref.token);
	nodes_count(ns, n, id);
	nodes_unpin(ns, n);
	ok(nodes_find(ns, id, &ref) && ref.ino == 20, "the next number counts");
	forget(ns, id, 1);

	nodes_pin(ns, 21, 1, &n);
	nodes_unpin(ns, n);
	is(nodes_left(ns), 0, "a lookup that failed leaves nothing");
	nodes_pin_fresh(ns, &n);
	nodes_unpin(ns, n);
	is(nodes_left(ns), 0, "a creation that failed leaves nothing");
	nodes_free(ns);
}

static void test_detach(void)
{
	struct nodes *ns = nodes_new();
	struct node_ref ref;
	struct node *n;
	uint64_t old, id;

	nodes_pin_fresh(ns, &n);
	nodes_ref(ns, n, &ref);
	is(ref.ino, 0, "a fresh node has no inode");
	nodes_bind(ns, n, 30, 1);
	old = model_lookup(ref.token);
	nodes_count(ns, n, old);
	nodes_unpin(ns, n);
	is(lookup(ns, 30, 1), old, "a bound node is found by its inode");
	nodes_detach(ns, 30);
	ok(nodes_find(ns, old, &ref) && ref.stale, "freed: known, but stale");
	id = lookup(ns, 30, 2);
	ok(id != old, "the number's next inode has a new node");
	ok(nodes_find(ns, id, &ref) && !ref.stale && ref.gen == 2, "and is not stale");
	forget(ns, old, 2);
	is(lookup(ns, 30, 2), id, "the old one's end does not touch it");
	ok(lookup(ns, 30, 3) != id, "another generation is another inode");
	ok(nodes_find(ns, id, &ref) && ref.stale, "and the one before is stale");
	nodes_regenerate(ns, 30, 9);
	nodes_pin(ns, 30, 9, &n);
	nodes_ref(ns, n, &ref);
	is(ref.gen, 9, "a generation set by ioctl keeps the node");
	nodes_unpin(ns, n);
	nodes_free(ns);
}

static void test_keep(void)
{
	struct nodes *ns = nodes_new();
	uint64_t id;
	int thing;

	ok(!nodes_keep(ns, 40, &thing), "nothing is tied to what is not held");
	id = lookup(ns, 40, 1);
	lookup(ns, 40, 1);
	ok(nodes_keep(ns, 40, &thing), "it is, to a node that is held");
	ok(!nodes_keep(ns, 40, &thing), "once");
	nodes_detach(ns, 40);
	forget(ns, id, 1);
	ok(!kept, "it stays with the node");
	forget(ns, id, 1);
	ok(kept == &thing, "and comes back with the last lookup");
	is(nodes_left(ns), 0, "nothing is left");
	nodes_free(ns);
}

/* One lookup, with what the inode is fit for; what the kernel is told. */
static bool offer(struct nodes *ns, uint32_t ino, bool mappable)
{
	struct node_ref ref;
	struct node *n;
	bool mapped;

	nodes_pin(ns, ino, 1, &n);
	nodes_offer(ns, n, mappable);
	nodes_ref(ns, n, &ref);
	mapped = nodes_count(ns, n, model_lookup(ref.token));
	nodes_unpin(ns, n);
	return mapped;
}

static void test_mapped(void)
{
	struct nodes *ns = nodes_new();
	struct node_ref ref;
	uint64_t id;

	ok(!offer(ns, 50, false), "not mapped when it was first seen");
	ok(!offer(ns, 50, true), "... and not as long as the kernel has it");
	ok(!nodes_mapped(ns, 50), "so it is remembered");
	ok(offer(ns, 51, true), "mapped when it was first seen");
	ok(offer(ns, 51, false), "... and as long as the kernel has it");
	id = nodes_mapped(ns, 51);
	ok(nodes_find(ns, id, &ref) && ref.ino == 51 && ref.mapped,
	   "so it is remembered, with its nodeid");
	forget(ns, id, 1);
	ok(nodes_mapped(ns, 51), "one of two lookups is left");
	forget(ns, id, 1);
	ok(!nodes_mapped(ns, 51), "none is");
	ok(!offer(ns, 51, false), "decided anew");
	nodes_free(ns);
}

/* ---- many threads ---- */

#define THREADS	4
#define ROUNDS	60000
#define INODES	97
#define HELD	512

static struct nodes *shared;

static void *storm(void *arg)
{
	unsigned seed = (uintptr_t)arg, held = 0, i, r;
	uint64_t ids[HELD];

	for (r = 0; r < ROUNDS; r++) {
		i = rand_r(&seed);
		if (held == HELD || (held && i % 2)) {
			i = (i / 2) % held;
			forget(shared, ids[i], 1);
			ids[i] = ids[--held];
		} else if (i % 1024 == 0) {
			nodes_detach(shared, 100 + (i / 1024) % INODES);
		} else {
			ids[held] = lookup(shared, 100 + (i / 2) % INODES, 1);
			if (ids[held])
				held++;
		}
	}
	while (held)
		forget(shared, ids[--held], 1);
	return NULL;
}

static void test_storm(void)
{
	pthread_t threads[THREADS];
	uintptr_t i;

	shared = nodes_new();
	for (i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, storm, (void *)(i + 1));
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	is(nodes_left(shared), 0, "a storm of lookups ends with empty tables");
	nodes_free(shared);
	is(model_faults, 0, "libfuse was told nothing wrong");
	memset(model_token, 0, sizeof(model_token));
}

static void test_growth(void)
{
	struct nodes *ns = nodes_new();
	uint32_t i, wrong = 0;
	struct node_ref ref;
	uint64_t *ids = calloc(20000, sizeof(*ids));

	memset(model_count, 0, sizeof(model_count));
	for (i = 0; i < 20000; i++)
		ids[i] = lookup(ns, i + 3, 0);
	for (i = 0; i < 20000; i++) {
		if (!nodes_find(ns, ids[i], &ref) || ref.ino != i + 3)
			wrong++;
	}
	is(wrong, 0, "20000 nodes are all found");
	for (i = 0; i < 20000; i++)
		forget(ns, ids[i], 1);
	is(nodes_left(ns), 0, "and all forgotten");
	free(ids);
	nodes_free(ns);
}

int main(void)
{
	test_counts();
	memset(model_count, 0, sizeof(model_count));
	test_interrupted();
	memset(model_count, 0, sizeof(model_count));
	test_detach();
	memset(model_count, 0, sizeof(model_count));
	test_keep();
	memset(model_count, 0, sizeof(model_count));
	test_mapped();
	memset(model_count, 0, sizeof(model_count));
	test_storm();
	test_growth();
	return done();
}
