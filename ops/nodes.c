/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nodes.c - tokens, libfuse nodeids and inode numbers: who is who.
 *
 * Knows only numbers: nothing of FUSE messages, of libfuse, or of inodes.
 *
 * Counting: an entry reply is counted by libfuse first and here second; a
 * forget is counted here first and by libfuse second.  So the count here is
 * never above libfuse's, a node that libfuse dropped has the count 0 here,
 * and libfuse may give its token a new nodeid only then.
 *
 * Locks: ns->lock, innermost, held for a few hash steps.
 */
#include "ops/nodes.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct node {
	struct node *id_next, *ino_next;
	uint64_t token;
	uint64_t nodeid;	/* 0: in no reply so far */
	uint64_t lookups;	/* held by the kernel */
	unsigned pins;		/* requests at work on it */
	uint32_t ino, gen;
	bool stale;
	bool mappable;		/* nodes_offer() */
	bool mapped;		/* so the kernel was told */
	bool by_ino;		/* in the inode table */
	void *kept;		/* nodes_keep() */
};

struct nodes {
	pthread_mutex_t lock;
	struct node **ids, **inos;	/* hash tables, SIZE slots each */
	size_t size;			/* a power of two */
	size_t count;
	uint64_t last_token;
};

#define NODES_MIN	1024

static size_t slot(const struct nodes *ns, uint64_t key)
{
	return (key * 0x9E3779B97F4A7C15ull >> 32) & (ns->size - 1);
}

struct nodes *nodes_new(void)
{
	struct nodes *ns = calloc(1, sizeof(*ns));

	if (!ns)
		return NULL;
	pthread_mutex_init(&ns->lock, NULL);
	ns->size = NODES_MIN;
	ns->ids = calloc(ns->size, sizeof(*ns->ids));
	ns->inos = calloc(ns->size, sizeof(*ns->inos));
	if (!ns->ids || !ns->inos) {
		nodes_free(ns);
		return NULL;
	}
	return ns;
}

/* Every node is in the id table, the inode table, or pinned (a bug then). */
void nodes_free(struct nodes *ns)
{
	struct node *n, *next;
	size_t i;

	if (!ns)
		return;
	for (i = 0; ns->ids && ns->inos && i < ns->size; i++) {
		for (n = ns->inos[i]; n; n = next) {
			next = n->ino_next;
			if (!n->nodeid)
				free(n);
		}
	}
	for (i = 0; ns->ids && ns->inos && i < ns->size; i++) {
		for (n = ns->ids[i]; n; n = next) {
			next = n->id_next;
			free(n);
		}
	}
	free(ns->ids);
	free(ns->inos);
	pthread_mutex_destroy(&ns->lock);
	free(ns);
}

static void id_insert(struct nodes *ns, struct node *n)
{
	struct node **p = &ns->ids[slot(ns, n->nodeid)];

	n->id_next = *p;
	*p = n;
}

static void id_remove(struct nodes *ns, struct node *n)
{
	struct node **p = &ns->ids[slot(ns, n->nodeid)];

	while (*p != n)
		p = &(*p)->id_next;
	*p = n->id_next;
}

static struct node *id_find(struct nodes *ns, uint64_t nodeid)
{
	struct node *n = ns->ids[slot(ns, nodeid)];

	while (n && n->nodeid != nodeid)
		n = n->id_next;
	return n;
}

static void ino_insert(struct nodes *ns, struct node *n)
{
	struct node **p = &ns->inos[slot(ns, n->ino)];

	n->ino_next = *p;
	*p = n;
	n->by_ino = true;
}

static void ino_remove(struct nodes *ns, struct node *n)
{
	struct node **p = &ns->inos[slot(ns, n->ino)];

	if (!n->by_ino)
		return;
	while (*p != n)
		p = &(*p)->ino_next;
	*p = n->ino_next;
	n->by_ino = false;
}

static struct node *ino_find(struct nodes *ns, uint32_t ino)
{
	struct node *n = ns->inos[slot(ns, ino)];

	while (n && n->ino != ino)
		n = n->ino_next;
	return n;
}

/* Doubles the tables; without memory for it they only become slower. */
static void grow(struct nodes *ns)
{
	size_t old = ns->size, i;
	struct node **ids = ns->ids, **inos = ns->inos;
	struct node **new_ids, **new_inos, *n, *next;

	new_ids = calloc(old * 2, sizeof(*new_ids));
	new_inos = calloc(old * 2, sizeof(*new_inos));
	if (!new_ids || !new_inos) {
		free(new_ids);
		free(new_inos);
		return;
	}
	ns->ids = new_ids;
	ns->inos = new_inos;
	ns->size = old * 2;
	for (i = 0; i < old; i++) {
		for (n = ids[i]; n; n = next) {
			next = n->id_next;
			id_insert(ns, n);
		}
		for (n = inos[i]; n; n = next) {
			next = n->ino_next;
			ino_insert(ns, n);
		}
	}
	free(ids);
	free(inos);
}

static struct node *node_new(struct nodes *ns)
{
	struct node *n;

	if (ns->count >= ns->size)
		grow(ns);
	n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	n->token = ++ns->last_token;
	n->pins = 1;
	ns->count++;
	return n;
}

static void node_drop_if_unused(struct nodes *ns, struct node *n)
{
	if (n->pins || n->lookups)
		return;
	if (n->nodeid)
		id_remove(ns, n);
	ino_remove(ns, n);
	ns->count--;
	free(n);
}

int nodes_pin(struct nodes *ns, uint32_t ino, uint32_t gen, struct node **out)
{
	struct node *n;
	int ret = 0;

	pthread_mutex_lock(&ns->lock);
	n = ino_find(ns, ino);
	if (n && n->gen != gen) {
		n->stale = true;
		ino_remove(ns, n);
		n = NULL;
	}
	if (n) {
		n->pins++;
	} else {
		n = node_new(ns);
		if (n) {
			n->ino = ino;
			n->gen = gen;
			ino_insert(ns, n);
		} else {
			ret = -ENOMEM;
		}
	}
	pthread_mutex_unlock(&ns->lock);
	*out = n;
	return ret;
}

int nodes_pin_fresh(struct nodes *ns, struct node **out)
{
	pthread_mutex_lock(&ns->lock);
	*out = node_new(ns);
	pthread_mutex_unlock(&ns->lock);
	return *out ? 0 : -ENOMEM;
}

void nodes_bind(struct nodes *ns, struct node *n, uint32_t ino, uint32_t gen)
{
	struct node *old;

	pthread_mutex_lock(&ns->lock);
	assert(!n->ino);
	/* Nobody can have looked up a name that was not there. */
	old = ino_find(ns, ino);
	if (old) {
		old->stale = true;
		ino_remove(ns, old);
	}
	n->ino = ino;
	n->gen = gen;
	ino_insert(ns, n);
	pthread_mutex_unlock(&ns->lock);
}

void nodes_unpin(struct nodes *ns, struct node *n)
{
	pthread_mutex_lock(&ns->lock);
	assert(n->pins);
	n->pins--;
	node_drop_if_unused(ns, n);
	pthread_mutex_unlock(&ns->lock);
}

void nodes_offer(struct nodes *ns, struct node *n, bool mappable)
{
	pthread_mutex_lock(&ns->lock);
	assert(n->pins);
	n->mappable = mappable;
	pthread_mutex_unlock(&ns->lock);
}

bool nodes_count(struct nodes *ns, struct node *n, uint64_t nodeid)
{
	bool mapped;

	pthread_mutex_lock(&ns->lock);
	assert(n->pins);
	if (n->nodeid != nodeid) {
		/* libfuse had dropped its node, and made a new one. */
		assert(!n->lookups);
		if (n->nodeid)
			id_remove(ns, n);
		n->nodeid = nodeid;
		id_insert(ns, n);
	}
	if (!n->lookups++)
		n->mapped = n->mappable;
	mapped = n->mapped;
	pthread_mutex_unlock(&ns->lock);
	return mapped;
}

void nodes_uncount(struct nodes *ns, uint64_t nodeid, void **kept)
{
	nodes_forget(ns, nodeid, 1, kept);
}

uint64_t nodes_forget(struct nodes *ns, uint64_t nodeid, uint64_t count,
		      void **kept)
{
	struct node *n;

	*kept = NULL;
	pthread_mutex_lock(&ns->lock);
	n = id_find(ns, nodeid);
	if (!n) {
		count = 0;
	} else {
		if (count > n->lookups)
			count = n->lookups;
		n->lookups -= count;
		if (!n->lookups) {
			*kept = n->kept;
			n->kept = NULL;
			n->mapped = false;
		}
		node_drop_if_unused(ns, n);
	}
	pthread_mutex_unlock(&ns->lock);
	return count;
}

bool nodes_keep(struct nodes *ns, uint32_t ino, void *kept)
{
	struct node *n;
	bool ret;

	pthread_mutex_lock(&ns->lock);
	n = ino_find(ns, ino);
	ret = n && n->lookups && !n->kept;
	if (ret)
		n->kept = kept;
	pthread_mutex_unlock(&ns->lock);
	return ret;
}

static void ref_fill(const struct node *n, struct node_ref *ref)
{
	ref->nodeid = n->nodeid;
	ref->token = n->token;
	ref->ino = n->ino;
	ref->gen = n->gen;
	ref->stale = n->stale;
	ref->mapped = n->mapped;
}

bool nodes_find(struct nodes *ns, uint64_t nodeid, struct node_ref *ref)
{
	struct node *n;

	if (nodeid == NODE_ROOT_ID) {
		*ref = (struct node_ref){ .nodeid = NODE_ROOT_ID,
					  .ino = NODE_ROOT_INO };
		return true;
	}
	pthread_mutex_lock(&ns->lock);
	n = nodeid ? id_find(ns, nodeid) : NULL;
	/* Without a lookup libfuse may have dropped the number already. */
	if (n && !n->lookups)
		n = NULL;
	if (n)
		ref_fill(n, ref);
	pthread_mutex_unlock(&ns->lock);
	return n != NULL;
}

void nodes_ref(struct nodes *ns, struct node *n, struct node_ref *ref)
{
	pthread_mutex_lock(&ns->lock);
	ref_fill(n, ref);
	pthread_mutex_unlock(&ns->lock);
}

uint64_t nodes_mapped(struct nodes *ns, uint32_t ino)
{
	struct node *n;
	uint64_t nodeid;

	pthread_mutex_lock(&ns->lock);
	n = ino_find(ns, ino);
	nodeid = n && n->mapped ? n->nodeid : 0;
	pthread_mutex_unlock(&ns->lock);
	return nodeid;
}

void nodes_detach(struct nodes *ns, uint32_t ino)
{
	struct node *n;

	pthread_mutex_lock(&ns->lock);
	n = ino_find(ns, ino);
	if (n) {
		n->stale = true;
		ino_remove(ns, n);
	}
	pthread_mutex_unlock(&ns->lock);
}

void nodes_regenerate(struct nodes *ns, uint32_t ino, uint32_t gen)
{
	struct node *n;

	pthread_mutex_lock(&ns->lock);
	n = ino_find(ns, ino);
	if (n)
		n->gen = gen;
	pthread_mutex_unlock(&ns->lock);
}

size_t nodes_left(struct nodes *ns)
{
	size_t count;

	pthread_mutex_lock(&ns->lock);
	count = ns->count;
	pthread_mutex_unlock(&ns->lock);
	return count;
}
