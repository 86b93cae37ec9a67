const MAX_VIEWERS = 50;
/** RFC 6455's registry of close codes. */
const TRY_AGAIN_LATER = 1013;
/** Whether there is no room for one more: then it is told to come back later. */
export function isTurnedAway(client, viewers) {
    if (viewers.size < MAX_VIEWERS)
        return false;
    client.close(TRY_AGAIN_LATER, 'too many viewers', 'VIEWERS');
    return true;
}
