export * from '@everywire/socketio-adapter';
