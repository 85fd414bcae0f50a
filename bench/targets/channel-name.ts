/** The channel of every run that needs only one. */
export const channelName = 'bench';
