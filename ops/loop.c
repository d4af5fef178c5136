/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loop.c - the threads: receive, serve, and how they end.
 *
 * N workers do the same, receive a request and take it through wire.c.  One
 * more thread takes the requests that must wait for others (wire_defer()).
 * Knows the session's descriptor, nothing of what is in a message.
 *
 * Locks: late_lock, around the queue of deferred requests.
 */
#include "ops/wire_internal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "sys/log.h"

#define KICK_SIGNAL	SIGUSR1

static void *worker_main(void *arg)
{
	struct worker *wk = arg;
	struct wire *w = wk->srv->wire;
	struct fuse_session *se = wk->srv->se;
	struct fuse_buf buf = { .mem = NULL };
	int res;

	wk->rq.worker = wk;
	wk->rq.srv = wk->srv;
	wire_enter(&wk->rq);
	while (!fuse_session_exited(se) &&
	       !__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
		res = fuse_session_receive_buf(se, &buf);
		if (res == -EINTR)
			continue;
		if (res == -EAGAIN) {
			struct pollfd pfd = { .fd = w->fd, .events = POLLIN };

			poll(&pfd, 1, -1);
			continue;
		}
		if (res <= 0)
			break;
		wire_serve(wk, &buf);
	}
	wire_enter(NULL);
	free(buf.mem);
	free(wk->buffer);
	free(wk->scratch);
	__atomic_sub_fetch(&w->running, 1, __ATOMIC_ACQ_REL);
	wire_wake_main(wk->srv);
	return NULL;
}

void wire_wake_main(struct server *srv)
{
	uint64_t one = 1;

	if (write(srv->wire->event_fd, &one, sizeof(one)) < 0)
		msg_debug("eventfd: %s", strerror(errno));
}

/* ---- DESTROY ---- */

void wire_hold_destroy(struct request *rq)
{
	__atomic_store_n(&rq->srv->wire->destroy, rq->in->unique,
			 __ATOMIC_SEQ_CST);
	wire_wake_main(rq->srv);
}

bool wire_destroying(const struct server *srv)
{
	return __atomic_load_n(&srv->wire->destroy, __ATOMIC_SEQ_CST);
}

/* Was DESTROY the last request? */
static bool drained(const struct server *srv)
{
	return wire_destroying(srv) &&
	       !__atomic_load_n(&srv->open_files, __ATOMIC_SEQ_CST);
}

void wire_may_end(struct server *srv)
{
	if (drained(srv))
		wire_wake_main(srv);
}

void wire_answer_destroy(struct server *srv)
{
	struct wire *w = srv->wire;
	struct fuse_out_header out = {
		.len = sizeof(out),
		.unique = __atomic_load_n(&w->destroy, __ATOMIC_SEQ_CST),
	};

	if (out.unique && write(w->fd, &out, sizeof(out)) < 0)
		msg_debug("writing a reply: %s", strerror(errno));
}

/* ---- requests that wait for others ---- */

void wire_defer(struct request *rq)
{
	struct wire *w = rq->srv->wire;
	struct late *job = malloc(sizeof(*job) + rq->in->len);

	if (!job) {
		wire_reply(rq, -ENOMEM, NULL, 0);
		return;
	}
	job->next = NULL;
	job->len = rq->in->len;
	memcpy(job->msg, rq->in, job->len);
	pthread_mutex_lock(&w->late_lock);
	*w->late_end = job;
	w->late_end = &job->next;
	pthread_cond_broadcast(&w->late_cond);
	pthread_mutex_unlock(&w->late_lock);
}

/*
 * The kernel writes the node's dirty pages, which the workers take, before
 * the notification returns.  No worker ever waits for this thread.
 */
static void late_serve(struct worker *wk, struct late *job)
{
	const struct fuse_in_header *in = (void *)job->msg;
	struct fuse_buf buf = { .size = job->len, .mem = job->msg };

	wire_notify_inval(wk->srv, in->nodeid, 0);
	ORDER_RECEIVE();
	wire_serve(wk, &buf);
	free(job);
}

static void *late_main(void *arg)
{
	struct worker *wk = arg;
	struct wire *w = wk->srv->wire;
	struct late *job;

	wk->rq.worker = wk;
	wire_enter(&wk->rq);
	pthread_mutex_lock(&w->late_lock);
	for (;;) {
		while (!w->late && !w->late_stop)
			pthread_cond_wait(&w->late_cond, &w->late_lock);
		job = w->late;
		if (!job)
			break;
		w->late = job->next;
		if (!w->late)
			w->late_end = &w->late;
		pthread_mutex_unlock(&w->late_lock);
		late_serve(wk, job);
		pthread_mutex_lock(&w->late_lock);
	}
	pthread_mutex_unlock(&w->late_lock);
	wire_enter(NULL);
	return NULL;
}

static int late_start(struct server *srv)
{
	struct wire *w = srv->wire;
	struct worker *wk = &w->late_worker;
	int err;

	wk->srv = srv;
	wk->late = true;
	wk->scratch = malloc(SCRATCH_SIZE);
	if (!wk->scratch)
		return -ENOMEM;
	err = pthread_create(&wk->thread, NULL, late_main, wk);
	if (err) {
		free(wk->scratch);
		wk->scratch = NULL;
	}
	return -err;
}

/* Ends when the queue is empty; the workers must still be there, or the
 * connection gone. */
static void late_stop(struct wire *w)
{
	if (!w->late_worker.scratch)
		return;
	pthread_mutex_lock(&w->late_lock);
	w->late_stop = true;
	pthread_cond_broadcast(&w->late_cond);
	pthread_mutex_unlock(&w->late_lock);
	pthread_join(w->late_worker.thread, NULL);
	free(w->late_worker.scratch);
	free(w->late_worker.buffer);
	w->late_worker.scratch = NULL;
}

static void kicked(int sig)
{
	(void)sig;	/* only there to interrupt read(2) */
}

int wire_open(struct server *srv)
{
	struct sigaction sa = { .sa_handler = kicked };
	int fd = fuse_session_fd(srv->se), err;
	struct wire *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	w->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->fd < 0 || w->event_fd < 0) {
		err = -errno;
	} else {
		err = fuse_session_custom_io(srv->se, &wire_io, fd);
		if (err > 0)
			err = -EINVAL;
	}
	if (err) {
		if (w->fd >= 0)
			close(w->fd);
		if (w->event_fd >= 0)
			close(w->event_fd);
		free(w);
		return err;
	}
	pthread_mutex_init(&w->late_lock, NULL);
	pthread_cond_init(&w->late_cond, NULL);
	w->late_end = &w->late;
	sigemptyset(&sa.sa_mask);
	sigaction(KICK_SIGNAL, &sa, NULL);
	srv->wire = w;
	return 0;
}

int wire_event_fd(const struct server *srv)
{
	return srv->wire->event_fd;
}

bool wire_ended(const struct server *srv)
{
	const struct wire *w = srv->wire;

	return drained(srv) ||
	       __atomic_load_n(&w->running, __ATOMIC_ACQUIRE) < w->threads;
}

int wire_start(struct server *srv, unsigned threads)
{
	struct wire *w = srv->wire;
	int err;

	if (threads > WIRE_THREADS)
		threads = WIRE_THREADS;
	err = late_start(srv);
	if (err)
		return err;
	for (w->threads = 0; w->threads < threads; w->threads++) {
		struct worker *wk = &w->workers[w->threads];

		wk->srv = srv;
		wk->scratch = malloc(SCRATCH_SIZE);
		if (!wk->scratch)
			return w->threads ? 0 : -ENOMEM;
		__atomic_add_fetch(&w->running, 1, __ATOMIC_ACQ_REL);
		err = pthread_create(&wk->thread, NULL, worker_main, wk);
		if (err) {
			__atomic_sub_fetch(&w->running, 1, __ATOMIC_ACQ_REL);
			free(wk->scratch);
			return w->threads ? 0 : -err;
		}
	}
	return 0;
}

/* True once all threads have left; false at once if they wait for more after
 * the last request. */
static bool wait_threads(struct server *srv, int timeout_ms)
{
	struct wire *w = srv->wire;
	struct pollfd pfd = { .fd = w->event_fd, .events = POLLIN };
	uint64_t n;

	while (__atomic_load_n(&w->running, __ATOMIC_ACQUIRE)) {
		if (drained(srv) && !__atomic_load_n(&w->stop, __ATOMIC_RELAXED))
			return false;
		if (poll(&pfd, 1, timeout_ms) <= 0)
			return !__atomic_load_n(&w->running, __ATOMIC_ACQUIRE);
		if (read(w->event_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
			return false;
	}
	return true;
}

void wire_stop(struct server *srv, unsigned grace_ms)
{
	struct wire *w = srv->wire;
	unsigned i;

	if (!wait_threads(srv, grace_ms)) {
		late_stop(w);
		__atomic_store_n(&w->stop, true, __ATOMIC_RELAXED);
		fuse_session_exit(srv->se);
		/* A signal before the read(2) it should end is lost. */
		do {
			for (i = 0; i < w->threads; i++)
				pthread_kill(w->workers[i].thread, KICK_SIGNAL);
		} while (!wait_threads(srv, 10));
	}
	for (i = 0; i < w->threads; i++)
		pthread_join(w->workers[i].thread, NULL);
	w->threads = 0;
	late_stop(w);
}

void wire_hang_up(struct server *srv)
{
	struct wire *w = srv->wire;

	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}

void wire_close(struct server *srv)
{
	struct wire *w = srv->wire;

	if (!w)
		return;
	wire_hang_up(srv);
	close(w->event_fd);
	pthread_mutex_destroy(&w->late_lock);
	pthread_cond_destroy(&w->late_cond);
	free(w);
	srv->wire = NULL;
}
