import { grpcStreamDriver } from '../../drivers/grpc-stream.ts';
import { transportContract } from '../transport.contract.ts';

transportContract({ driver: grpcStreamDriver });
