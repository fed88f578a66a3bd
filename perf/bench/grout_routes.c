// Gives routes to a running grout, as they come on standard input.
//   grout-routes SOCKET FIRST_NEXTHOP <FILE
// Lines `prefix number`; the route's nexthop is FIRST_NEXTHOP + number. Built by perf/peers.sh against
// grout's own headers. Prints how many and in how many seconds.
#include <gr_api_client_impl.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int give(struct gr_api_client *grout, char *prefix, unsigned nexthop)
{
	char *slash = strchr(prefix, '/');

	if (slash == NULL)
		return -1;
	*slash = 0;
	if (strchr(prefix, ':') != NULL) {
		struct gr_ip6_route_add_req route = {.vrf_id = GR_VRF_DEFAULT_ID, .nh_id = nexthop, .origin = GR_NH_ORIGIN_STATIC};
		route.dest.prefixlen = atoi(slash + 1);
		if (inet_pton(AF_INET6, prefix, &route.dest.ip) != 1)
			return -1;
		return gr_api_client_send_recv(grout, GR_IP6_ROUTE_ADD, sizeof(route), &route, NULL);
	}
	struct gr_ip4_route_add_req route = {.vrf_id = GR_VRF_DEFAULT_ID, .nh_id = nexthop, .origin = GR_NH_ORIGIN_STATIC};
	route.dest.prefixlen = atoi(slash + 1);
	if (inet_pton(AF_INET, prefix, &route.dest.ip) != 1)
		return -1;
	return gr_api_client_send_recv(grout, GR_IP4_ROUTE_ADD, sizeof(route), &route, NULL);
}

int main(int argc, char **argv)
{
	char prefix[80];
	unsigned number, given = 0, refused = 0;
	struct timespec begin, end;

	if (argc != 3)
		return 2;
	struct gr_api_client *grout = gr_api_client_connect(argv[1]);
	if (grout == NULL) {
		perror(argv[1]);
		return 1;
	}
	clock_gettime(CLOCK_MONOTONIC, &begin);
	while (scanf("%79s %u", prefix, &number) == 2) {
		given++;
		refused += give(grout, prefix, atoi(argv[2]) + number) < 0;
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	gr_api_client_disconnect(grout);
	printf("%u routes, %u refused, %.2f s\n", given, refused,
	       end.tv_sec - begin.tv_sec + (end.tv_nsec - begin.tv_nsec) / 1e9);
	return refused != 0;
}
